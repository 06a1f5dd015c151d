"""What decides whether a planted fault happens to a call: a seeded chance, or a rate that is used up."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Chance:
    """Happens to this share of the calls. The same seed gives the same row of answers."""

    def __init__(self, share: float, *, seed: int) -> None:
        self._share = share
        self._dice = random.Random(seed)  # noqa: S311 - faults, not secrets

    def happens(self) -> bool:
        """Whether it happens to this call."""
        return self._share >= 1 or self._dice.random() < self._share


class Quota:
    """A bucket of as many calls as a second may have, which fills up again at that rate, as AWS's own do."""

    def __init__(self, per_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = self._left = per_s
        self._clock = clock
        self._filled_s = clock()

    def is_exceeded(self) -> bool:
        """Whether this call is one too many; it counts otherwise."""
        now_s = self._clock()
        self._left = min(self._per_s, self._left + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        if self._left < 1:
            return True
        self._left -= 1
        return False
