"""Reaping a long queue: own rows first, orphans page by page over several ticks, and always in time."""

from __future__ import annotations

import uuid
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tasks.batch.errors import BatchDeniedError, BatchError
from tasks.batch.port import TERMINATE_LIMIT_IDS, ListedJob
from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.models import Attempt, Tick
from tasks.services.requests.cancel import cancel_job
from tasks.services.ticks.reap import reap
from tests.factories import ScriptedBatch, claimed, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _tick() -> None:
    Tick.objects.get_or_create(name="reap")


def orphan(batch_job_id: str) -> ListedJob:
    name = f"batchreel-{uuid.uuid4()}-1"
    return ListedJob(batch_job_id=batch_job_id, name=name, status=BatchStatus.RUNNING, created_at_ms=1)


def cancelled_attempts(number: int) -> list[str]:
    """Return the Batch jobs of this many cancelled jobs."""
    attempts = [submitted_attempt(uploaded_video(title=str(each))) for each in range(number)]
    for attempt in attempts:
        claimed(attempt)
        cancel_job(job_id=attempt.job_id)
    return [str(attempt.batch_job_id) for attempt in attempts]


def slow_calls(monkeypatch: pytest.MonkeyPatch, *, calls: int) -> None:
    """Let the time limit pass after the clock was read this often."""
    passed_s = count(step=bridge_settings().reap_time_limit_s / calls)
    clock = SimpleNamespace(monotonic=lambda: next(passed_s))
    monkeypatch.setattr("tasks.services.ticks.reap.time", clock)
    monkeypatch.setattr("tasks.services.ticks.observe.time", clock)


@pytest.mark.parametrize("failing", ["list_error", "describe_error"])
def test_reap_continues_when_aws_denies_one_of_its_reads(failing: str, batch: ScriptedBatch) -> None:
    own = cancelled_attempts(1)
    batch.found = [orphan("orphan")]
    setattr(batch, failing, BatchDeniedError("no"))
    with pytest.raises(BatchDeniedError):
        reap(batch=batch)
    assert batch.terminated == (own if failing == "list_error" else ["orphan"])


def test_cancelled_jobs_are_terminated_first_when_the_queue_is_long(
    batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = cancelled_attempts(2)
    batch.found = [orphan("orphan")]
    slow_calls(monkeypatch, calls=2)
    reap(batch=batch)
    assert set(batch.terminated) <= set(own)
    assert batch.terminated


def test_orphans_are_terminated_by_several_ticks_when_the_queue_is_long(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"list_limit_pages": 2}
    batch.page_jobs = 1
    batch.found = [orphan(each) for each in "abcde"]
    terminated = []
    for _ in range(4):
        reap(batch=batch)
        terminated.append("".join(batch.terminated))
        batch.terminated.clear()
    assert terminated == ["ab", "cd", "e", "ab"]
    assert batch.listed[:5] == ["", "1", "2", "3", "4"]


def test_page_is_listed_again_when_a_limit_was_reached_on_it(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"reap_limit": 2}
    batch.page_jobs = 3
    batch.found = [orphan(each) for each in "abcd"]
    reap(batch=batch)
    assert batch.terminated == ["a", "b"]
    batch.found = [orphan(each) for each in "cd"]  # AWS no longer lists the two
    reap(batch=batch)
    assert batch.terminated == ["a", "b", "c", "d"]
    assert batch.listed == ["", ""]


def test_reap_stops_in_time_when_every_call_is_slow(batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    batch.page_jobs = 1
    batch.found = [orphan(str(each)) for each in range(50)]
    slow_calls(monkeypatch, calls=10)
    reap(batch=batch)
    assert 0 < len(batch.terminated) < 10
    assert Tick.objects.get(name="reap").position == str(len(batch.terminated))


def test_position_is_kept_when_a_page_cannot_be_listed(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"list_limit_pages": 1}
    batch.page_jobs = 1
    batch.found = [orphan("a"), orphan("b")]
    reap(batch=batch)
    batch.list_error = BatchError("no response")
    with pytest.raises(BatchError):
        reap(batch=batch)
    batch.list_error = None
    reap(batch=batch)
    assert batch.terminated == ["a", "b"]


def test_all_cancelled_jobs_are_polled_when_the_oldest_ones_keep_running(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"reap_limit": 2}
    own = cancelled_attempts(3)
    assert reap(batch=batch) == 2
    batch.set_observation(Attempt.objects.get(batch_job_id=own[0]), BatchStatus.FAILED, started=True)
    assert reap(batch=batch) == 2
    assert set(batch.terminated) == set(own)


def test_cancelled_job_is_terminated_by_the_next_tick_when_older_ones_never_end(
    batch: ScriptedBatch, settings: Settings
) -> None:
    # As in a zone that is lost while AWS reports RUNNING.
    settings.BATCHREEL = {"reap_limit": 2, "describe_limit_ids": 2}
    for _ in range(2):
        own = cancelled_attempts(2)
        batch.terminated.clear()
        reap(batch=batch)
        assert batch.terminated == own


def test_orphans_are_terminated_when_own_batch_jobs_never_end(
    batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.is_old = True  # a call for each takes longest
    own = cancelled_attempts(12)
    batch.found = [orphan("orphan")]
    for _ in range(3):
        slow_calls(monkeypatch, calls=12)
        reap(batch=batch)
    assert {*own, "orphan"} <= set(batch.terminated)


def test_listing_continues_when_the_orphans_on_a_page_never_end(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"reap_limit": 2}
    batch.page_jobs = 3
    batch.found = [orphan(each) for each in "abcdef"]
    terminated = []
    for _ in range(4):
        reap(batch=batch)
        terminated.append("".join(batch.terminated))
        batch.terminated.clear()
    assert terminated == ["ab", "cd", "ef", "ab"]


def test_fifty_batch_jobs_end_by_one_call_when_many_are_to_be_terminated(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"reap_limit": 60}
    own = cancelled_attempts(3)
    batch.found = [orphan(f"{each:03}") for each in range(70)]
    assert reap(batch=batch) == 63
    assert [len(call) for call in batch.bulk_calls] == [3, TERMINATE_LIMIT_IDS, 10]
    assert set(batch.bulk_calls[0]) == set(own)
    # The page is continued after the last one for which there was a call.
    batch.found = batch.found[60:]
    assert reap(batch=batch) == 3 + 10
    assert batch.bulk_calls[-1] == [each.batch_job_id for each in batch.found]


def test_each_batch_job_gets_a_call_when_there_is_none_for_several(batch: ScriptedBatch) -> None:
    batch.is_old = True
    own = cancelled_attempts(3)
    batch.found = [orphan(each) for each in "ab"]
    assert reap(batch=batch) == 5
    assert (set(batch.terminated), batch.bulk_calls) == ({*own, "a", "b"}, [])


def test_other_batch_jobs_are_terminated_when_one_is_denied(batch: ScriptedBatch) -> None:
    denied, *others = cancelled_attempts(3)
    batch.refused = {denied: BatchDeniedError("not ours")}
    with pytest.raises(BatchDeniedError):
        reap(batch=batch)
    # Recorded for all, so that the denied one does not stay in front.
    assert not Attempt.objects.filter(terminate_called_at=None).exists()
    for each in others:
        batch.set_observation(Attempt.objects.get(batch_job_id=each), BatchStatus.FAILED, started=True)
    with pytest.raises(BatchDeniedError):
        reap(batch=batch)
    assert batch.terminated == [denied, *others, denied]
