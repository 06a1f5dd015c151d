"""All ticks, one after the other, in the test's process: services and AWS Batch are real, only beat is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tasks import tasks
from tasks.models import Tick
from tests.factories import age
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")


def run_round() -> None:
    """Run each tick once, regardless of the time since its last run."""
    age(Tick, "started_at", seconds=0.6)  # more than half a period ago, and the run of ticks stays continuous
    for tick in (
        tasks.submit_tick,
        tasks.observe_tick,
        tasks.rescue_tick,
        tasks.reap_tick,
        tasks.cost_tick,
        tasks.edit_tick,
        tasks.purge_tick,
    ):
        tick()


def run_rounds_until(poll: Callable[[], Found], *, limit_s: float = 30.0, what: str) -> Found:
    """Run rounds until `poll` returns a true value, and return that."""

    def poll_or_run_round() -> Found:
        if not (found := poll()):
            run_round()
            found = poll()
        return found

    return wait_for(poll_or_run_round, limit_s=limit_s, what=what)
