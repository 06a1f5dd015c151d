"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket

from project.local.errors import StackError

LOOPBACK = "127.0.0.1"


_OURS = range(15_000, 32_000)
"""Below the ports that Linux gives to connections going out (ip_local_port_range): one of those could take a port that was just free."""


def free_port() -> int:
    """Return a TCP port that nobody on this machine listens on now. Raises StackError.

    Another process may take it before the caller does: whoever listens on it must be ready to try another one.
    """
    for port in random.SystemRandom().sample(_OURS, k=100):
        if _is_free(port):
            return port
    message = f"None of a hundred ports between {_OURS.start} and {_OURS.stop} is free."
    raise StackError(message)


def port_near(wanted: int) -> int:
    """Return the wanted port, or where another program has it, one of the next twenty that is free. Raises StackError."""
    for port in range(wanted, wanted + 20):
        if _is_free(port):
            return port
    message = f"The ports {wanted} to {wanted + 19} are all taken. End what uses them, or name another with --port."
    raise StackError(message)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
