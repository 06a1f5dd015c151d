"""Replaces itself by a program, under limits: `python -I -S launch.py PARENT_PID LIMITS_JSON PROGRAM ARGUMENT...`.

It exists because setting limits between fork and exec inside a threaded Python process can deadlock.
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
"""Exit code when the program could not be run."""


def main() -> None:
    """Leave the network, tie this process to its parent, apply the limits, become the program."""
    parent_pid, limits, program = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        _leave_network(libc)
        # After the change of namespaces, which may clear it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # The parent may have died before the first call: nobody would end us then.
        if os.getppid() != parent_pid:
            sys.exit(NOT_STARTED)
    for name, value in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    try:
        os.execv(program[0], program)  # noqa: S606  # becoming the program without a shell is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error.strerror}\n")
        sys.exit(NOT_STARTED)


def _leave_network(libc: ctypes.CDLL) -> None:
    """Go where there is no network, not even loopback, if the kernel allows it; stay otherwise (unshare(2))."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        # A user namespace would take root's rights over other people's files, which may be the very source.
        libc.unshare(CLONE_NEWNET)
    elif libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        # Each id stands for itself, so that files keep their owner (user_namespaces(7)).
        for name, line in (("uid_map", f"{uid} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1")):
            with suppress(OSError):
                Path("/proc/self", name).write_text(line)


if __name__ == "__main__":
    main()
