"""The one transition function, over every state, event and fence, on PostgreSQL."""

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
"""The fence that a writer read in the row."""


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
    JobEvent.PUBLISH: {"manifest": {}, "manifest_key": "k", "next_attempt_at": None},
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
"""Whether the writer's fence is older than the row's, the same, or newer (a database restored from a backup): the row's fence."""


def _grow_fence(row: Job | Attempt | Unit, fence: int) -> None:
    # An attempt's number never changes; attempts with other numbers may be granted beside it. Its state alone decides.
    grown = row.job if isinstance(row, Attempt) else row
    type(grown).objects.filter(pk=grown.pk).update(fence=fence)


@pytest.mark.parametrize(("make", "event", "states"), [pytest.param(*case, id=str(case[1])) for case in _CASES])
def test_only_table_transitions_happen_when_any_event_meets_any_state_and_fence(make, event, states) -> None:  # type: ignore[no-untyped-def] # three kinds of rows
    made = make(next(iter(states)))
    for state, (fence, held) in itertools.product(states, _FENCES.items()):
        savepoint = transaction.savepoint()
        _check(_put(made, state), event, fence=fence, held=held)
        transaction.savepoint_rollback(savepoint)


def _put(made: Job | Attempt | Unit, state: str) -> Job | Attempt | Unit:
    columns = {Job: job_columns, Attempt: attempt_columns, Unit: lambda state: {"state": state}}[type(made)](state)
    type(made).objects.filter(pk=made.pk).update(**columns)
    return type(made).objects.get(pk=made.pk)


def _check(row: Job | Attempt | Unit, event: AnyEvent, *, fence: str, held: int) -> None:
    state = row.state
    _grow_fence(row, held)
    target = target_state(event, state)
    refused = IllegalTransitionError if target is None else FencedError
    before = snapshot()
    if target is None or (fence != "same" and not isinstance(row, Attempt)):
        with pytest.raises(refused):
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
