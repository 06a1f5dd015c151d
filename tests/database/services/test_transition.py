"""The transition function for every state, event and fence, on PostgreSQL."""

from __future__ import annotations

import itertools

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from tasks.lifecycle.errors import FencedError, IllegalTransitionError
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import (
    AnyEvent,
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
from tasks.services.state.transition import transition
from tests.db_snapshot import attempt_columns, changed, job_columns, snapshot
from tests.factories import uploaded_video

pytestmark = pytest.mark.django_db

_FENCE = 2
"""Fence that a writer has read from the row."""


def _job(state: JobState) -> Job:
    job = Job.objects.get(video=uploaded_video())
    Job.objects.filter(pk=job.pk).update(fence=_FENCE, **job_columns(state))
    job.refresh_from_db()
    return job


def _attempt(state: AttemptState) -> Attempt:
    return Attempt.objects.create(
        job=_job(JobState.RUNNING),
        number=_FENCE,
        batch_job_name=f"name-{state}",
        vcpus=2,
        memory_mib=2048,
        timeout_s=3600,
        **attempt_columns(state),
    )


def _unit(state: UnitState) -> Unit:
    return Unit.objects.create(
        job=_job(JobState.RUNNING), kind=UnitKind.VIDEO, state=state, fence=_FENCE, lease_id="abc", done_at=Now()
    )


_NEEDED: dict[str, dict[str, object]] = {
    JobEvent.GRANT: {"next_attempt_at": None},
    JobEvent.CLAIM: {"next_attempt_at": None},
    JobEvent.RETRY: {"next_attempt_at": Now()},
    JobEvent.PUBLISH: {"playlist_key": "k", "finished_at": Now(), "next_attempt_at": None},
    JobEvent.REJECT: {"reason": Reason.INPUT_REJECTED, "next_attempt_at": None},
    JobEvent.DEAD: {"reason": Reason.ATTEMPTS_EXHAUSTED, "next_attempt_at": None},
    JobEvent.CANCEL: {"reason": Reason.CANCELLED, "next_attempt_at": None},
    JobEvent.REVIVE: {"next_attempt_at": Now()},
    AttemptEvent.SUCCEED: {"ended_at": Now()},
    AttemptEvent.FAIL: {"ended_at": Now(), "reason": Reason.EXIT_CODE},
    AttemptEvent.LOSE: {"ended_at": Now(), "reason": Reason.HEARTBEAT_TIMEOUT},
    AttemptEvent.CANCEL: {"ended_at": Now(), "reason": Reason.CANCELLED},
}

_CASES = [
    *itertools.product([_job], JobEvent, [JobState]),
    *itertools.product([_attempt], AttemptEvent, [AttemptState]),
    *itertools.product([_unit], UnitEvent, [UnitState]),
]

_FENCES = {"old": _FENCE + 1, "same": _FENCE, "new": _FENCE - 1}
"""Age of the writer's fence -> the row's fence. The writer's is newer if a backup was restored."""


def _set_fence(row: Job | Attempt | Unit, fence: int) -> None:
    # An attempt's number never changes, although attempts with other numbers may be granted. Only
    # its state decides.
    fenced = row.job if isinstance(row, Attempt) else row
    type(fenced).objects.filter(pk=fenced.pk).update(fence=fence)


@pytest.mark.parametrize(("make", "event", "states"), [pytest.param(*case, id=str(case[1])) for case in _CASES])
def test_transitions_follow_the_table_when_states_and_fences_vary(make, event, states) -> None:  # type: ignore[no-untyped-def] # three kinds of rows
    row = make(next(iter(states)))
    for state, (fence, row_fence) in itertools.product(states, _FENCES.items()):
        savepoint = transaction.savepoint()
        _check(_put(row, state), event, fence=fence, row_fence=row_fence)
        transaction.savepoint_rollback(savepoint)


def _put(row: Job | Attempt | Unit, state: str) -> Job | Attempt | Unit:
    columns = {Job: job_columns, Attempt: attempt_columns, Unit: lambda state: {"state": state}}[type(row)](state)
    type(row).objects.filter(pk=row.pk).update(**columns)
    return type(row).objects.get(pk=row.pk)


def _check(row: Job | Attempt | Unit, event: AnyEvent, *, fence: str, row_fence: int) -> None:
    state = row.state
    _set_fence(row, row_fence)
    target = target_state(event, state)
    expected_error = IllegalTransitionError if target is None else FencedError
    before = snapshot()
    if target is None or (fence != "same" and not isinstance(row, Attempt)):
        with pytest.raises(expected_error):
            transition(row, event, **_NEEDED.get(event, {}))
        assert snapshot() == before, (event, state, fence)
        return
    transition(row, event, **_NEEDED.get(event, {}))
    row.refresh_from_db()
    assert row.state == target
    newest = Event.objects.order_by("-id")[0]
    assert (newest.kind, newest.from_state, newest.to_state) == (event, state, target)
    row_itself = {(row._meta.model_name, str(row.pk))} if state != target or event is JobEvent.GRANT else set()
    written = changed(before, snapshot()) - {("event", str(newest.pk))}
    assert written == row_itself, (event, state, fence)


def test_superseded_writer_changes_nothing_when_the_fence_has_increased() -> None:
    job = _job(JobState.RUNNING)
    Job.objects.filter(pk=job.pk).update(fence=7)
    with pytest.raises(FencedError):
        transition(job, JobEvent.RETRY, next_attempt_at=Now())
    job.refresh_from_db()
    assert job.state == JobState.RUNNING


def test_superseded_writer_changes_nothing_when_the_state_has_changed() -> None:
    job = _job(JobState.RUNNING)
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED, finished_at=Now(), playlist_key="k")
    with pytest.raises(FencedError):
        transition(job, JobEvent.CANCEL, reason=Reason.CANCELLED)
    assert Job.objects.get(pk=job.pk).state == JobState.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_transition_is_rejected_when_no_transaction_is_open() -> None:
    job = _job(JobState.RUNNING)
    with pytest.raises(RuntimeError, match="transaction"):
        transition(job, JobEvent.RETRY, next_attempt_at=Now())


def test_database_rejects_a_second_active_job_when_code_does_not_check() -> None:
    job = _job(JobState.RUNNING)
    with pytest.raises(IntegrityError, match="one_active_job_per_video"), transaction.atomic():
        Job.objects.create(video=job.video, source_name="another", profile="standard", automatic=False)


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"state": "SOMEWHERE"}, "job_state_known"),
        ({"state": "RETRY_WAIT", "next_attempt_at": None}, "retry_wait_has_due_time"),
        ({"state": "SUCCEEDED"}, "succeeded_has_playlist"),
        ({"state": "DEAD"}, "ended_has_reason"),
        ({"next_attempt_at": Now()}, "due_only_when_waiting"),
    ],
)
def test_database_rejects_an_impossible_job_when_code_is_wrong(columns: dict[str, object], constraint: str) -> None:
    job = _job(JobState.RUNNING)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**columns)
