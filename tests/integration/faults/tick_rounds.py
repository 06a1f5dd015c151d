"""All ticks, one after the other, in the test's own process: the services and AWS Batch are real, only beat is not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tasks import tasks
from tasks.models import Tick, TokenBucket
from tests.factories import age
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")


def run_round() -> None:
    """One run of each tick, whatever the time since the last."""
    TokenBucket.objects.all().delete()
    age(Tick, "started_at", seconds=0.6)  # over half a period has gone by, and the run of ticks is not broken
    for tick in (tasks.submit_tick, tasks.observe_tick, tasks.rescue_tick, tasks.reap_tick):
        tick()


def run_rounds_until(look: Callable[[], Found], *, limit_s: float = 30.0, what: str) -> Found:
    """Run round after round until `look` returns something true, and return that."""

    def go_on() -> Found:
        if not (found := look()):
            run_round()
            found = look()
        return found

    return wait_for(go_on, limit_s=limit_s, what=what)
