"""What code in a decoder would try: a child that tests the walls around it from inside.

`walls` runs it. It prints what it got as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys

_FAMILIES = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_VSOCK")
_CONNECT_TIMEOUT_S = 1.0


def main() -> None:
    """Try each wall. `sys.argv`: HOST PORT FILE FOLDER; FILE and FOLDER are those of someone else."""
    host, port, secret, folder = sys.argv[1:]
    found = {
        "environment_bytes": sum(_size(f"/proc/{pid}/environ") for pid in _others()),
        "sockets": sum(map(_opens, _FAMILIES)) + _makes_a_pair(),
        "metadata": _connects(host, int(port)),
        "foreign_bytes": _size(secret),
        "foreign_writes": _writes(os.path.join(folder, "written")),  # noqa: PTH118 - without pathlib, as in launcher
    }
    sys.stdout.write(json.dumps(found))


def _others() -> set[int]:
    """Return the ids of all other processes: who may read their environment may also read their memory.

    Process 1 and the parent are tried even where /proc cannot be listed.
    """
    try:
        listed = {int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal()}
    except OSError:
        listed = set()
    return (listed | {1, os.getppid()}) - {os.getpid()}


def _size(path: str) -> int:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return len(file.read())
    except OSError:
        return 0


def _opens(family: str) -> bool:
    try:
        socket.socket(getattr(socket, family), socket.SOCK_DGRAM).close()
    except (OSError, AttributeError):
        return False
    return True


def _makes_a_pair() -> bool:
    try:
        for end in socket.socketpair():
            end.close()
    except OSError:
        return False
    return True


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _writes(path: str) -> bool:
    try:
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(b"x")
    except OSError:
        return False
    return True
