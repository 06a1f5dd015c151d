"""One stack at a time for each state folder."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from project.local.errors import FolderInUseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREVIOUS_STACK_LIMIT_S = 15.0
"""How long to wait for the servers of a killed stack, which end within 10 s."""

_LOOK_INTERVAL_S = 0.1


def lock_state_folder(state_dir: Path, *, say: Callable[[str], None], limit_s: float = PREVIOUS_STACK_LIMIT_S) -> int:
    """Make and lock the folder; return the descriptor that holds the lock.

    The lock is free again when every process that has the descriptor closed it or ended. So each server's lifeline
    gets it as well, and a new stack never meets the servers of a killed one.

    Raises FolderInUseError when another stack keeps the folder for longer than `limit_s`.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    give_up_at = time.monotonic() + limit_s
    said = False
    while not _try_lock(descriptor):
        if time.monotonic() > give_up_at:
            os.close(descriptor)
            message = f"Another stack is running on {state_dir}. End it first, or name another folder."
            raise FolderInUseError(message)
        if not said:
            say(f"Waiting for the previous stack on {state_dir} to end.")
            said = True
        time.sleep(_LOOK_INTERVAL_S)
    return descriptor


def is_locked(state_dir: Path) -> bool:
    """Whether a stack runs on the folder, or its servers have not ended yet."""
    try:
        descriptor = os.open(state_dir / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
