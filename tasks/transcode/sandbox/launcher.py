"""Launcher that confines itself and then execs a program: limits, namespaces, Landlock, seccomp.

It exists because confining a process between fork and exec in a multithreaded Python process can
deadlock. `command` returns how to run it: without site-packages and with few imports, since it
runs before every ffmpeg.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys

from . import landlock, seccomp

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
NOT_STARTED = 120
"""Exit code if the program could not be started."""

_CPU_GRACE_S = 5
"""CPU seconds between SIGXCPU, which names the cause, and SIGKILL."""


def main() -> None:
    """Apply the walls in `sys.argv`: PARENT_PID CONFINEMENT_JSON PROGRAM ARGUMENT...; then exec the program.

    Each wall that the kernel does not have is left out: `walls` finds out which ones hold. The
    order matters: Landlock and seccomp deny what the earlier steps need.
    """
    parent_pid, confinement, program = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        _leave_network(libc)
        # Only after unsharing the namespaces, which may clear the setting.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # If the parent died before the prctl call, no signal will come.
        if os.getppid() != parent_pid:
            sys.exit(NOT_STARTED)
        landlock.restrict(libc, confinement["paths"])
    for name, value in confinement["limits"].items():
        _limit(getattr(resource, name), value)
    if sys.platform == "linux":
        if (guard := confinement.get("guard")) is not None:
            _let_reads_be_watched(libc, guard)
        seccomp.install_filter(libc)
    try:
        os.execv(program[0], program)  # noqa: S606  # replacing this process without a shell is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        sys.exit(NOT_STARTED)


def _let_reads_be_watched(libc: ctypes.CDLL, descriptor: int) -> None:
    """Send the listener of `seccomp.watch_reads` to the parent, over the socket with this descriptor; or exit.

    Without it, nobody answers the program's reads, and they would wait forever.
    """
    import socket  # noqa: PLC0415 - most children have no guard, and importing it takes as long as all the rest

    with socket.socket(fileno=descriptor) as parent:
        listener = seccomp.watch_reads(libc)
        if listener < 0:
            sys.exit(NOT_STARTED)
        try:
            parent.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))])
        except OSError:
            os._exit(NOT_STARTED)  # anything else may read a file, and wait for itself to answer
    os.close(listener)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    wanted = value + _CPU_GRACE_S if kind == resource.RLIMIT_CPU else value
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (min(value, allowed), allowed))


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
            try:
                with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - as in landlock
                    file.write(line)
            except OSError:
                continue
