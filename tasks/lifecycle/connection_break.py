"""Whether many silent containers mean a break between containers and database. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta


def is_break(
    silent_since: Sequence[datetime], *, running: int, is_held: bool, share: float, at_least: int, within_s: float
) -> bool:
    """Return whether the silent containers became silent together.

    `silent_since` is when each of them crosses its threshold, which may be some seconds ahead, and `running`
    the number of containers that AWS Batch reports as RUNNING, silent or not. A break begins with more than
    `share` of them, and at least `at_least`, within `within_s`; once some are held for it (`is_held`), it
    lasts while that many are silent, since whenever.
    """
    if len(silent_since) < at_least or len(silent_since) <= share * running:
        return False
    if is_held:
        return True
    times = sorted(silent_since)
    window = timedelta(seconds=within_s)
    first = 0
    for last, at in enumerate(times):
        while at - times[first] > window:
            first += 1
        together = last - first + 1
        if together >= at_least and together > share * running:
            return True
    return False
