"""Rule: what a container does if the disk has, or does not have, the room that it needs. Pure.

First come, first served: room that an earlier container waits for is not free for a later one, or a
large source would never get in between small ones.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Step(enum.Enum):
    """What to do next."""

    RESERVE = "reserve"
    WAIT = "wait"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A machine's disk, as one of its containers sees it."""

    total_bytes: int
    free_bytes: int
    floor_bytes: int
    """What a reservation must leave free."""
    own_bytes: int = 0
    """What this container holds already, which it cannot release while it waits for more."""
    held_bytes: float
    """What the working containers of the machine will release; infinite if that is unknown."""
    ahead_bytes: Sequence[int] = ()
    """What each of those wants that waits and came earlier."""

    def can_fit(self, wanted_bytes: int) -> bool:
        """Return whether there is or will be room, once all that work now have ended."""
        return wanted_bytes + self.floor_bytes <= self.free_bytes + self.held_bytes

    def has_room(self, wanted_bytes: int) -> bool:
        """Return whether there is room now, without that for those who came earlier.

        One for which there will never be room leaves, so nobody waits behind it.
        """
        ahead_bytes = sum(each for each in self.ahead_bytes if self.can_fit(each))
        return wanted_bytes + self.floor_bytes <= self.free_bytes - ahead_bytes


def next_step(
    disk: Disk, wanted_bytes: int, *, waited_s: float, hopeless_s: float | None, wait_limit_s: float, hold_s: float
) -> Step:
    """Return the next step of a container that wants this much of the disk.

    `waited_s` is the time since it began to wait, and `hopeless_s` the time since when there will be
    no room even after all others have ended, None if there will be. Others release their room when
    they end, so that is worth waiting for, up to `wait_limit_s`. If nothing will change, leave, but
    only after `hold_s`. If the whole disk is too small, leave at once: the machine is not at fault,
    and its place is good for the next job.
    """
    if wanted_bytes + disk.own_bytes + disk.floor_bytes > disk.total_bytes:
        return Step.LEAVE
    if disk.has_room(wanted_bytes):
        return Step.RESERVE
    if waited_s >= wait_limit_s or (hopeless_s is not None and hopeless_s >= hold_s):
        return Step.LEAVE
    return Step.WAIT
