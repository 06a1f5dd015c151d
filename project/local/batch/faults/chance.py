"""Decides whether a planted fault applies to a call: by seeded chance, or by an exceeded rate."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Chance:
    """Applies to a share of the calls. The same seed gives the same sequence of results."""

    def __init__(self, share: float, *, seed: int) -> None:
        self._share = share
        self._dice = random.Random(seed)  # noqa: S311 - faults, not secrets

    def happens(self) -> bool:
        """Return whether the fault applies to this call."""
        return self._share >= 1 or self._dice.random() < self._share


class Quota:
    """Token bucket with a capacity of one second of calls, refilled at the same rate, like AWS's own."""

    def __init__(self, per_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = self._left = per_s
        self._clock = clock
        self._filled_s = clock()

    def is_exceeded(self) -> bool:
        """Return whether this call exceeds the quota. Otherwise, count it."""
        now_s = self._clock()
        self._left = min(self._per_s, self._left + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        if self._left < 1:
            return True
        self._left -= 1
        return False
