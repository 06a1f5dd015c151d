"""Lock that allows one stack at a time per state folder."""

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

_POLL_INTERVAL_S = 0.1


def lock_state_folder(
    state_dir: Path, *, report: Callable[[str], None], limit_s: float = PREVIOUS_STACK_LIMIT_S
) -> int:
    """Create and lock the folder. Return the descriptor that holds the lock.

    The lock is released once every process that has the descriptor has closed it or ended. Each
    server's lifeline gets it as well, so that a new stack never runs next to the servers of a
    killed one.

    Raises FolderInUseError if another stack keeps the folder for longer than `limit_s`.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    give_up_at = time.monotonic() + limit_s
    reported = False
    while not _try_lock(descriptor):
        if time.monotonic() > give_up_at:
            os.close(descriptor)
            message = f"Another stack is running on {state_dir}. Stop it first, or use another folder."
            raise FolderInUseError(message)
        if not reported:
            report(f"Waiting for the previous stack on {state_dir} to end.")
            reported = True
        time.sleep(_POLL_INTERVAL_S)
    return descriptor


def is_locked(state_dir: Path) -> bool:
    """Return whether a stack runs on the folder, or its servers have not ended yet."""
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
