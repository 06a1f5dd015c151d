"""Launcher that applies limits and then execs a program.

Usage: `python -I -S launcher.py PARENT_PID LIMITS_JSON PROGRAM ARGUMENT...`.

It exists because setting limits between fork and exec in a multithreaded Python process can
deadlock.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
NOT_STARTED = 120
"""Exit code if the program could not be started."""


def main() -> None:
    """Leave the network, request SIGKILL on the parent's death, apply the limits, exec the program.

    The first two steps exist on Linux only, and failures of these system calls are ignored.
    """
    parent_pid, limits, program = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        _leave_network(libc)
        # Only after unsharing the namespaces, which may clear the setting.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # If the parent died before the prctl call, no signal will come.
        if os.getppid() != parent_pid:
            sys.exit(NOT_STARTED)
    for name, value in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    try:
        os.execv(program[0], program)  # noqa: S606  # replacing this process without a shell is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        sys.exit(NOT_STARTED)


def _leave_network(libc: ctypes.CDLL) -> None:
    """Move to a new network namespace if the kernel allows it (unshare(2)); do nothing otherwise.

    It has no interface that is up, not even loopback.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        # In a user namespace, root would lose access to files of other users, such as the source.
        libc.unshare(CLONE_NEWNET)
    elif libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        # Each id is mapped to itself, so that files keep their owner (user_namespaces(7)).
        for name, line in (("uid_map", f"{uid} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1")):
            with suppress(OSError):
                Path("/proc/self", name).write_text(line)


if __name__ == "__main__":
    main()
