"""The one transition function, over every state and every event, on PostgreSQL."""

from __future__ import annotations

import itertools

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from tasks.lifecycle.errors import FencedError, IllegalTransitionError
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import (
    LIVE_ATTEMPT_STATES,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitEvent,
    UnitKind,
    UnitState,
    target_state,
)
from tasks.models import Attempt, Event, Job, Unit
from tasks.services.transition import transition
from tests.services.making import uploaded_video

pytestmark = pytest.mark.django_db

_WAITING = {JobState.QUEUED, JobState.RETRY_WAIT}


def _job(state: JobState) -> Job:
    job = Job.objects.get(video=uploaded_video())
    Job.objects.filter(pk=job.pk).update(
        state=state,
        reason="CANCELLED" if state in (JobState.FAILED, JobState.DEAD, JobState.CANCELLED) else "",
        next_attempt_at=Now() if state in _WAITING else None,
        manifest={} if state == JobState.SUCCEEDED else None,
        manifest_key="k" if state == JobState.SUCCEEDED else "",
    )
    job.refresh_from_db()
    return job


def _attempt(state: AttemptState) -> Attempt:
    live = state in LIVE_ATTEMPT_STATES
    return Attempt.objects.create(
        job=_job(JobState.RUNNING),
        number=1,
        state=state,
        reason="" if live or state == AttemptState.SUCCEEDED else "SILENT",
        batch_job_name=f"name-{state}",
        vcpus=2,
        memory_mib=2048,
        heartbeat_at=Now(),
        ended_at=None if live else Now(),
    )


def _unit(state: UnitState) -> Unit:
    return Unit.objects.create(
        job=_job(JobState.RUNNING), kind=UnitKind.VIDEO, state=state, fence=1, lease_id="abc", done_at=Now()
    )


_NEEDED: dict[str, dict[str, object]] = {
    JobEvent.GRANT: {"next_attempt_at": None},
    JobEvent.CLAIM: {"next_attempt_at": None},
    JobEvent.RETRY: {"next_attempt_at": Now()},
    JobEvent.PUBLISH: {"manifest": {}, "manifest_key": "k", "next_attempt_at": None},
    JobEvent.REFUSE: {"reason": Reason.INPUT_REFUSED, "next_attempt_at": None},
    JobEvent.PARK: {"reason": Reason.BUDGET_SPENT, "next_attempt_at": None},
    JobEvent.CANCEL: {"reason": Reason.CANCELLED, "next_attempt_at": None},
    JobEvent.REVIVE: {"next_attempt_at": Now()},
    AttemptEvent.SUCCEED: {"ended_at": Now()},
    AttemptEvent.FAIL: {"ended_at": Now(), "reason": Reason.EXIT_CODE},
    AttemptEvent.LOSE: {"ended_at": Now(), "reason": Reason.SILENT},
    AttemptEvent.CANCEL: {"ended_at": Now(), "reason": Reason.CANCELLED},
}

_CASES = [
    *itertools.product([_job], JobState, JobEvent),
    *itertools.product([_attempt], AttemptState, AttemptEvent),
    *itertools.product([_unit], UnitState, UnitEvent),
]


@pytest.mark.parametrize(
    ("make", "state", "event"), [pytest.param(*case, id=f"{case[1]}-{case[2]}") for case in _CASES]
)
def test_only_table_transitions_happen_when_any_event_meets_any_state(make, state, event) -> None:  # type: ignore[no-untyped-def] # three kinds of rows
    row = make(state)
    events_before = Event.objects.count()
    target = target_state(event, state)
    if target is None:
        with pytest.raises(IllegalTransitionError):
            transition(row, event, **_NEEDED.get(event, {}))
        row.refresh_from_db()
        assert row.state == state
        assert Event.objects.count() == events_before
        return
    transition(row, event, **_NEEDED.get(event, {}))
    row.refresh_from_db()
    assert row.state == target
    newest = Event.objects.order_by("-id")[0]
    assert (newest.kind, newest.from_state, newest.to_state) == (event, state, target)
    assert Event.objects.count() == events_before + 1


def test_superseded_writer_changes_nothing_when_the_fence_has_grown() -> None:
    job = _job(JobState.RUNNING)
    Job.objects.filter(pk=job.pk).update(fence=7)
    with pytest.raises(FencedError):
        transition(job, JobEvent.RETRY, next_attempt_at=Now())
    job.refresh_from_db()
    assert job.state == JobState.RUNNING


def test_superseded_writer_changes_nothing_when_the_state_was_changed_behind_its_back() -> None:
    job = _job(JobState.RUNNING)
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED, manifest={}, manifest_key="k")
    with pytest.raises(FencedError):
        transition(job, JobEvent.CANCEL, reason=Reason.CANCELLED)
    assert Job.objects.get(pk=job.pk).state == JobState.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_transition_is_refused_when_no_transaction_holds_the_lock() -> None:
    job = _job(JobState.RUNNING)
    with pytest.raises(RuntimeError, match="transaction"):
        transition(job, JobEvent.RETRY, next_attempt_at=Now())


def test_database_refuses_a_second_active_job_when_code_forgets_to_look() -> None:
    job = _job(JobState.RUNNING)
    with pytest.raises(IntegrityError, match="one_active_job_per_video"), transaction.atomic():
        Job.objects.create(video=job.video, source_name="another", profile="standard", automatic=False)


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"state": "SOMEWHERE"}, "job_state_known"),
        ({"state": "RETRY_WAIT", "next_attempt_at": None}, "retry_wait_has_due_time"),
        ({"state": "SUCCEEDED"}, "succeeded_has_manifest"),
        ({"state": "DEAD"}, "ended_has_reason"),
        ({"next_attempt_at": Now()}, "due_only_when_waiting"),
    ],
)
def test_database_refuses_an_impossible_job_when_code_is_wrong(columns: dict[str, object], constraint: str) -> None:
    job = _job(JobState.RUNNING)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**columns)
