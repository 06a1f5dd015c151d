"""Polling for a condition until a deadline, instead of sleeping for a fixed time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")

_POLL_INTERVAL_S = 0.02
_TRIES = 3


def wait_for(look: Callable[[], Found], *, limit_s: float = 60.0, what: str) -> Found:
    """Call `look` until it returns a truthy value, and return it. Fails with `what` after `limit_s`."""
    pause = threading.Event()
    give_up_at = time.monotonic() + limit_s
    while not (found := look()):
        if time.monotonic() > give_up_at:
            message = f"{what} did not happen within {limit_s:g} s; last seen: {found!r}"
            raise AssertionError(message)
        pause.wait(_POLL_INTERVAL_S)
    return found


def assert_quick_once(act: Callable[[], float], *, limit_s: float) -> None:
    """Run `act` until the duration that it returns is less than `limit_s`; at most three times.

    Fails with the durations of all tries. Code that is really slow is slow every time; a busy
    machine is not.
    """
    took_s: list[float] = []
    while not took_s or (took_s[-1] >= limit_s and len(took_s) < _TRIES):
        took_s.append(act())
    assert min(took_s) < limit_s, took_s
