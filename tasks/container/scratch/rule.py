"""Rule: what a container does if the disk has, or does not have, the room that it needs. Pure."""

from __future__ import annotations

import enum


class Step(enum.Enum):
    """What to do next."""

    RESERVE = "reserve"
    WAIT = "wait"
    LEAVE = "leave"


def next_step(
    *, free_bytes: int, needed_bytes: int, waited_s: float, alone_s: float | None, wait_limit_s: float, hold_s: float
) -> Step:
    """Return the next step of a container that needs `needed_bytes`.

    `waited_s` is the time since it began to wait, and `alone_s` the time since when no other
    container of the machine has been working, None if one is. Another one that works will release its
    room when it ends, so it is worth waiting for, up to `wait_limit_s`. Without one, nothing will
    change: leave, but only after `hold_s`.
    """
    if free_bytes >= needed_bytes:
        return Step.RESERVE
    if waited_s >= wait_limit_s or (alone_s is not None and alone_s >= hold_s):
        return Step.LEAVE
    return Step.WAIT
