"""DescribeJobs is slow: what it returned is applied, ticks end in time, and nobody is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tasks.batch.errors import BatchError
from tasks.models import Attempt
from tasks.services.ticks.observe import observe
from tests.database.services.test_hold import run_rescue
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

    from tasks.lifecycle.observation import Observation

pytestmark = pytest.mark.django_db

ATTEMPTS, PAGE = 8, 2


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.services.ticks.observe.DESCRIBE_LIMIT_IDS", PAGE)


@pytest.fixture
def attempts() -> list[Attempt]:
    return [submitted_attempt(uploaded_video(title=str(each))) for each in range(ATTEMPTS)]


def slow_calls(monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """Let this much time pass before each call."""
    passed_s = count(step=seconds)
    clock = SimpleNamespace(monotonic=lambda: next(passed_s))
    for module in ("observe", "rescue"):
        monkeypatch.setattr(f"tasks.services.ticks.{module}.time", clock)


def test_every_attempt_is_polled_in_time_when_calls_are_slow(
    attempts: list[Attempt], batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls: Counter[str] = Counter()
    for tick in range(20):
        batch.described.clear()
        slow_calls(monkeypatch, seconds=3.5)
        summary = observe(batch=batch, tick=tick)
        assert (summary.asked, summary.left) == (2 * PAGE, ATTEMPTS - 2 * PAGE)
        polls.update(batch.described)
    assert set(polls) == {each.batch_job_id for each in attempts}


def test_responses_are_applied_when_a_later_call_fails(attempts: list[Attempt]) -> None:
    class _SecondCallFails(ScriptedBatch):
        def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
            if self.described:
                self.describe_error = BatchError("no response")
            return super().describe(batch_job_ids)

    with pytest.raises(BatchError):
        observe(batch=_SecondCallFails(), tick=0)
    assert Attempt.objects.filter(batch_status="RUNNING").count() == PAGE
    assert len(attempts) == ATTEMPTS


def test_all_silent_containers_are_replaced_when_polling_them_is_slow(
    attempts: list[Attempt], batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"break_min_containers": ATTEMPTS + 1}
    for attempt in attempts:
        claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=181)
    slow_calls(monkeypatch, seconds=2)
    assert run_rescue(batch).rescued == ATTEMPTS
    assert (len(batch.described), len(batch.terminated)) == (2 * PAGE, 0)
