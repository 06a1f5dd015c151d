"""Keeps a folder to one run at a time; a run that is killed leaves it free."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = ".lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if needed, for this process. Raises EncodeError when another one holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel lets go of the lock when the process ends, however it ends; the file itself may stay.
    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EncodeError(
                code="FOLDER_IN_USE",
                message=f"Another run is at work in {folder}. Wait for it, or name another folder.",
            ) from error
        yield
