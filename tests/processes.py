"""Queries about processes by their id."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.polling import wait_for


def is_alive(process_id: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def program_under_lifeline(lifeline: int) -> int:
    """Wait for the program that a lifeline runs, and return its process id."""
    children = Path(f"/proc/{lifeline}/task/{lifeline}/children")
    return int(wait_for(lambda: children.read_text().split(), what=f"the program below process {lifeline}")[0])


def children_of(process_id: int) -> list[int]:
    """Return the ids of the running child processes of this process."""
    children: list[int] = []
    for thread in Path(f"/proc/{process_id}/task").glob("*"):
        with suppress(OSError):  # the thread has ended since it was listed
            children += [int(each) for each in (thread / "children").read_text().split()]
    return children
