"""Lock on an output folder: one run at a time, released even if the run is killed."""

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
    """Lock `folder`, which is created if needed, for this process. Raises EncodeError if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel releases the lock when the process ends, however it ends; the file itself may stay.
    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EncodeError(
                code="FOLDER_IN_USE",
                message=f"Another run is using {folder}. Wait for it to end, or choose another folder.",
            ) from error
        yield
