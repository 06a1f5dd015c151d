"""How long one call to the storage may take, by who makes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of one call to the storage."""

    connect_s: float
    read_s: float
    tries: int = 2


SITE_TIMEOUTS = Timeouts(connect_s=2, read_s=5)
"""For web processes and Celery workers, where a call that waits holds a thread and a person. If a
call fails, the user tries again, or the next tick does."""

CONTAINER_TIMEOUTS = Timeouts(connect_s=10, read_s=60)
"""For containers, where it only costs time. Shorter than what the stages of a container can wait."""

MAX_CALL_S = round(CONTAINER_TIMEOUTS.tries * CONTAINER_TIMEOUTS.read_s)
"""Maximum duration of one call of a container if the storage does not respond."""
