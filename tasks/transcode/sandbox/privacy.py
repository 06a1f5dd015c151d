"""Keeps the environment, memory and open files of this process from its children."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def hide_process() -> bool:
    """Let only root look into this process (proc_pid_environ(5) and the like). Return False if that is impossible.

    Without it, a child of the same user reads this process's credentials from /proc. The setting
    holds until this process executes another program; there are no core dumps. Reading or writing
    one's own /proc/self files of this kind is denied as well.
    """
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
