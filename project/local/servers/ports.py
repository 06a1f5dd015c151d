"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket

from project.local.errors import StackError

LOOPBACK = "127.0.0.1"


_OURS = range(15_000, 32_000)
"""Ports below Linux's range for outgoing connections (ip_local_port_range).

An outgoing connection could otherwise take a port that was just free.
"""


def free_port() -> int:
    """Return a TCP port on which no process of this machine listens now.

    Raises StackError if none is found. Another process may take it before the caller does, so the
    caller must be ready to try another one.
    """
    for port in random.SystemRandom().sample(_OURS, k=100):
        if _is_free(port):
            return port
    message = f"None of a hundred ports between {_OURS.start} and {_OURS.stop} is free."
    raise StackError(message)


def port_near(wanted: int) -> int:
    """Return the first free port of the 20 ports from `wanted` on.

    Raises StackError if all are taken.
    """
    for port in range(wanted, wanted + 20):
        if _is_free(port):
            return port
    message = f"Ports {wanted} to {wanted + 19} are all in use. Stop the programs that use them, or choose another with --port."
    raise StackError(message)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
