"""Every service call for every state of its rows and an old, the same or a newer fence.

It makes its one documented change, or none. Rows are put into states directly, including those that
the services cannot reach: what stops a late writer must not depend on how the rows got their state.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now

from tasks.lifecycle.errors import BatchreelError
from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import (
    ACTIVE_JOB_STATES,
    LIVE_ATTEMPT_STATES,
    TRANSITIONS,
    AttemptState,
    JobState,
    UnitKind,
    UnitState,
)
from tasks.models import Attempt, Job, Unit
from tasks.services.container_api.claim import Claim, Lease, claim_attempt, lease_unit
from tasks.services.container_api.finish import (
    PlannedUnit,
    fail_attempt,
    finish_attempt,
    finish_plan,
    finish_unit,
    reject_input,
)
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.container_api.publish import publish
from tasks.services.container_api.suspect import suspect_input
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import revive
from tasks.services.state.observation import apply_observation
from tasks.services.ticks.rescue import rescue
from tests.db_snapshot import Snapshot, attempt_columns, changed, job_columns, snapshot
from tests.factories import ScriptedBatch, uploaded_video

pytestmark = pytest.mark.django_db

J, A, U = JobState, AttemptState, UnitState
FENCES = ("old", "same", "new")
_LEASE_ID = "our-lease"
_OUR_FENCE = 5
_BATCH_JOB_ID = "our-batch-job"
_SILENCE = timedelta(days=1)

Kinds = tuple[str, ...]


@dataclasses.dataclass(kw_only=True)
class Case:
    """One combination of states and fence, and the writer's claim and lease."""

    job_state: JobState
    attempt_state: AttemptState
    unit_state: UnitState
    fence: str
    claim: Claim
    lease: Lease

    @property
    def holds(self) -> bool:
        """Whether the writer owns the running attempt, and no other attempt finished the job."""
        return self.fence == "same" and self.attempt_state == A.RUNNING and self.job_state != J.SUCCEEDED

    @property
    def retried(self) -> Kinds:
        """Event of the job when its only live attempt ends."""
        return ("job.retry",) if self.job_state in {J.QUEUED, J.RUNNING} else ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A service call and its documented transition (or several in one transaction)."""

    name: str
    run: Callable[[Case], object]
    does: Callable[[Case], Kinds]
    unit_kind: UnitKind = UnitKind.VIDEO
    unit_states: tuple[UnitState, ...] = (U.LEASED,)
    writes_silently: Callable[[Case], bool] = lambda _: False
    """Whether it may change columns without a transition: a heartbeat's, and AWS's response."""


def _finish_plan(case: Case) -> None:
    units = [PlannedUnit(kind=UnitKind.AUDIO, index=9, first_frame=0, end_frame=1, weight_frames=1)]
    finish_plan(case.claim, case.lease, plan={}, units=units, plays_directly=False, encode_cost_s=100.0)


def _heartbeat_instead(_: Sequence[str]) -> list[Observation]:
    Attempt.objects.update(heartbeat_at=Now(), batch_status_at=Now())
    return []


def _rescue(case: Case) -> None:
    """Old: a heartbeat arrives during DescribeJobs. New: ticks have not run for long enough."""
    batch = ScriptedBatch()
    if case.fence == "old":
        batch.describe = _heartbeat_instead  # type: ignore[method-assign] # a heartbeat during the call
    since = Attempt.objects.annotate(now=Now()).values_list("now", "heartbeat_at")[0]
    rescue(batch=batch, continuous_since=since[0] if case.fence == "new" else since[1])


def _observe_failed(case: Case) -> None:
    """Old and new: the response is about another Batch job than the attempt's."""
    status_reason = "Host EC2 (instance i-1) terminated."
    seen = Observation(batch_job_id=_BATCH_JOB_ID, status=BatchStatus.FAILED, status_reason=status_reason, started=True)
    apply_observation(Attempt.objects.select_related("job").get(pk=case.claim.attempt_id), seen)


def _claims_attempt(case: Case) -> Kinds:
    """Old: the attempt has another Batch job. New: the row does not have a Batch job id yet."""
    claimable = (
        case.attempt_state in {A.SUBMITTING, A.SUBMITTED} and case.fence != "old" and case.job_state != J.SUCCEEDED
    )
    if not claimable:
        return ()
    return ("attempt.claim", "job.claim") if case.job_state == J.QUEUED else ("attempt.claim",)


def _finishes(case: Case) -> bool:
    return case.holds and case.unit_state == U.LEASED


CALLS = [
    Call(
        name="claim_attempt",
        run=lambda c: claim_attempt(
            job_id=c.claim.job_id, number=1, batch_job_id=_BATCH_JOB_ID, claim_id=c.claim.claim_id
        ),
        does=_claims_attempt,
    ),
    Call(
        name="lease_unit",
        run=lambda c: lease_unit(c.claim, lease_id=_LEASE_ID),
        does=lambda c: ("unit.lease",) if c.holds and c.unit_state == U.PENDING else (),
        unit_states=tuple(UnitState),
    ),
    Call(
        name="finish_unit",
        run=lambda c: finish_unit(c.claim, c.lease, output={"made": 1}),
        does=lambda c: ("unit.finish",) if _finishes(c) else (),
        unit_states=tuple(UnitState),
    ),
    Call(
        name="finish_plan",
        run=_finish_plan,
        does=lambda c: ("unit.finish",) if _finishes(c) else (),
        unit_kind=UnitKind.PLAN,
        unit_states=tuple(UnitState),
    ),
    Call(
        name="publish",
        run=lambda c: publish(c.claim, c.lease, duration_s=4.0, playlist_key="k", poster_key=""),
        does=lambda c: (
            ("unit.finish", "job.publish", "attempt.succeed") if _finishes(c) and c.job_state == J.RUNNING else ()
        ),
        unit_kind=UnitKind.PUBLISH,
        unit_states=tuple(UnitState),
    ),
    Call(
        name="heartbeat",
        run=lambda c: send_heartbeat(c.claim, stage="encode", count=7, encoded_frames=7),
        does=lambda _: (),
        writes_silently=lambda c: c.fence == "same" and c.attempt_state == A.RUNNING,
    ),
    Call(
        name="rescue",
        run=_rescue,
        does=lambda c: (
            ("attempt.lose", *c.retried) if c.fence == "same" and c.attempt_state in {A.SUBMITTED, A.RUNNING} else ()
        ),
        # The heartbeat during the call is the test's own.
        writes_silently=lambda c: c.fence == "old" and c.attempt_state in {A.SUBMITTED, A.RUNNING},
    ),
    Call(
        name="observe",
        run=_observe_failed,
        does=lambda c: (
            ("attempt.fail", *c.retried) if c.fence == "same" and c.attempt_state in LIVE_ATTEMPT_STATES else ()
        ),
        writes_silently=lambda c: c.fence == "same",
    ),
    Call(
        name="cancel",
        run=lambda c: cancel_job(job_id=c.claim.job_id),
        does=lambda c: (
            ("job.cancel", *(("attempt.cancel",) if c.attempt_state in LIVE_ATTEMPT_STATES else ()))
            if c.job_state in ACTIVE_JOB_STATES | {J.DEAD}
            else ()
        ),
    ),
    Call(
        name="revive",
        run=lambda c: revive(job_id=c.claim.job_id),
        does=lambda c: ("job.revive",) if c.job_state == J.DEAD else (),
    ),
    Call(
        name="fail_attempt",
        run=lambda c: fail_attempt(c.claim, reason=Reason.TRANSCODE_FAILED, text="", exit_code=1),
        does=lambda c: (
            ("attempt.fail", *c.retried) if c.fence == "same" and c.attempt_state in LIVE_ATTEMPT_STATES else ()
        ),
    ),
    Call(
        name="finish_attempt",
        run=lambda c: finish_attempt(c.claim),
        does=lambda c: (
            ("attempt.succeed",)
            if c.fence == "same" and c.attempt_state == A.RUNNING and c.job_state not in ACTIVE_JOB_STATES
            else ()
        ),
    ),
    Call(
        name="reject_input",
        run=lambda c: reject_input(c.claim, code="NOT_A_VIDEO", message="No.", exit_code=20),
        does=lambda c: ("attempt.fail", "job.reject") if c.holds and c.job_state == J.RUNNING else (),
    ),
    Call(
        name="suspect_input",
        run=lambda c: suspect_input(c.claim, code="UNREADABLE", message="It crashes."),
        does=lambda c: ("attempt.fail", *c.retried) if c.holds and c.job_state == J.RUNNING else (),
    ),
]


@pytest.mark.few(5)
@pytest.mark.parametrize("call", [pytest.param(call, id=call.name) for call in CALLS])
def test_service_makes_one_change_or_none_when_states_and_fences_vary(call: Call) -> None:
    cases = 0
    for case in _cases(call):
        _check(call, case)
        cases += 1
    assert cases == len(JobState) * len(AttemptState) * len(call.unit_states) * len(FENCES)


def _cases(call: Call) -> Iterator[Case]:
    job = Job.objects.get(video=uploaded_video())
    Unit.objects.bulk_create(
        [Unit(job=job, kind=UnitKind.PLAN, state=U.DONE, done_at=job.created_at)]
        if call.unit_kind != UnitKind.PLAN
        else []
    )
    attempt = Attempt.objects.create(
        job=job, number=1, batch_job_name="name-1", vcpus=2, memory_mib=2048, timeout_s=3600
    )
    unit = Unit.objects.create(job=job, kind=call.unit_kind, index=0, done_at=job.created_at)
    for job_state in JobState:
        with _undone():
            Job.objects.filter(pk=job.pk).update(fence=1, **job_columns(job_state))
            for attempt_state, fence in itertools.product(AttemptState, FENCES):
                with _undone():
                    claim = _put_attempt(attempt, attempt_state, fence)
                    for unit_state in call.unit_states:
                        with _undone():
                            lease = _put_unit(unit, unit_state, fence, attempt)
                            yield Case(
                                job_state=job_state,
                                attempt_state=attempt_state,
                                unit_state=unit_state,
                                fence=fence,
                                claim=claim,
                                lease=lease,
                            )


@contextmanager
def _undone() -> Iterator[None]:
    savepoint = transaction.savepoint()
    yield
    transaction.savepoint_rollback(savepoint)


def _put_attempt(attempt: Attempt, state: AttemptState, fence: str) -> Claim:
    """Old: another process has claimed the attempt since. New: the row has no claim yet."""
    claim_id = uuid.uuid4()
    Attempt.objects.filter(pk=attempt.pk).update(
        **{
            **attempt_columns(state),
            "claim_id": {"old": uuid.uuid4(), "same": claim_id, "new": None}[fence],
            "batch_job_id": {"old": "another", "same": _BATCH_JOB_ID, "new": None}[fence],
            "batch_status": BatchStatus.RUNNING,
            "heartbeat_at": Now() - _SILENCE,
            "batch_status_at": Now() - _SILENCE,
            "stage": "encode",
        }
    )
    return Claim(
        attempt_id=attempt.pk,
        job_id=attempt.job_id,
        number=1,
        claim_id=claim_id,
        vcpus=2,
        source_name="s",
        profile="p",
    )


def _put_unit(unit: Unit, state: UnitState, fence: str, attempt: Attempt) -> Lease:
    """Old: the unit was leased again since. New: the row does not have the writer's lease yet."""
    Unit.objects.filter(pk=unit.pk).update(
        state=state,
        fence=_OUR_FENCE + {"old": 1, "same": 0, "new": -1}[fence],
        lease_id=_LEASE_ID if fence == "same" else "another-lease",
        attempt=None if state == U.PENDING else attempt,
        leased_at=None if state == U.PENDING else Now(),
    )
    return Lease(
        unit_id=unit.pk,
        kind=UnitKind(unit.kind),
        index=0,
        fence=_OUR_FENCE,
        lease_id=_LEASE_ID,
        weight_frames=0,
        key_prefix="p",
        is_redo=False,
        plan_fence=1,
    )


def _check(call: Call, case: Case) -> None:
    before = snapshot()
    with suppress(BatchreelError):
        call.run(case)
    after = snapshot()
    context = (call.name, case.job_state, case.attempt_state, case.unit_state, case.fence)
    if before == after:
        assert not call.does(case), context
        return
    transitions = [
        (row["kind"], row["from_state"], row["to_state"])
        for key in sorted(after.keys() - before.keys(), key=lambda key: key[1].rjust(20))
        if key[0] == "event" and (row := json.loads(after[key]))["from_state"] and row["kind"] != "batch.status"
    ]
    assert sorted(kind for kind, _, _ in transitions) == sorted(call.does(case)), context
    assert transitions or call.writes_silently(case), context
    for kind, *states in transitions:
        assert tuple(states) in TRANSITIONS[kind].items(), context  # type: ignore[index] # a kind is an event's value
    _assert_states_change_only_with_events(before, after, transitions, context)


def _assert_states_change_only_with_events(
    before: Snapshot, after: Snapshot, transitions: list[tuple[str, str, str]], context: object
) -> None:
    """Assert that each changed state has an event; without events, only the attempt may change."""
    changes = {(kind.split(".")[0], *states) for kind, *states in transitions}
    for table, key in changed(before, after):
        if (table, key) in before and table in {"job", "attempt", "unit"}:
            states = [json.loads(rows[table, key])["state"] for rows in (before, after)]
            assert states[0] == states[1] or (table, *states) in changes, context
    if not transitions:
        assert {table for table, _ in changed(before, after)} <= {"attempt", "event"}, context
