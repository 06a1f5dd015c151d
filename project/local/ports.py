"""Free TCP ports on loopback."""

from __future__ import annotations

import socket

from project.local.errors import StackError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a TCP port that nobody on this machine listens on now.

    Another process may take it before the caller does: whoever listens on it must be ready to try another one.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_near(wanted: int) -> int:
    """Return the wanted port, or where another program has it, one of the next twenty that is free. Raises StackError."""
    for port in range(wanted, wanted + 20):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    message = f"The ports {wanted} to {wanted + 19} are all taken. End what uses them, or name another with --port."
    raise StackError(message)
