"""Finishing units, and the container's part in ending its attempt (see `state.attempt_end`).

A unit can be finished only with its newest lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Extract, Now

from ...lifecycle.errors import FencedError
from ...lifecycle.reasons import Reason
from ...lifecycle.states import (
    ACTIVE_JOB_STATES,
    LIVE_ATTEMPT_STATES,
    WORK_UNIT_KINDS,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitEvent,
    UnitKind,
    UnitState,
)
from ...models import Attempt, Job, Unit
from ...selectors.growing import can_be_watched
from ..outbox.announce import GROWING, SOURCE, announce_playable
from ..state.attempt_end import end_attempt, end_job_attempts, live_attempts
from ..state.locking import lock_job, read_attempt
from ..state.transition import append_event, transition
from .claim import Claim, Lease, require_running_attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """A unit of the plan. Frame numbers refer to the job's single frame grid."""

    kind: UnitKind
    index: int
    first_frame: int
    end_frame: int
    weight_frames: int


@transaction.atomic
def finish_unit(claim: Claim, lease: Lease, *, output: dict[str, Any]) -> None:
    """Mark the unit DONE and store its output. Repeating the call, after a lost response, is a no-op.

    Raises FencedError, AttemptCancelledError or NotFoundError.
    """
    job = lock_job(claim.job_id)
    if _finish(job, claim, lease, output=output) and job.playable_at is None and can_be_watched(job):
        announce_playable(job, what=GROWING)


@transaction.atomic
def finish_plan(
    claim: Claim,
    lease: Lease,
    *,
    plan: dict[str, Any],
    units: Sequence[PlannedUnit],
    plays_directly: bool,
    encode_cost_s: float,
    duration_s: float | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Mark the plan unit DONE and insert the planned units and the publish unit, in one transaction.

    If the source plays directly, pages offer it from now on. `encode_cost_s` is the estimated cost of
    all units in CPU seconds, `duration_s` the length of the output. `notes` describe peculiarities of
    the source; they become part of the event's text.
    """
    job = lock_job(claim.job_id)
    # The version is also here because queries would have to unpack the whole plan for it.
    output = {"units": len(units), "version": plan.get("version")}
    if not _finish(job, claim, lease, output=output, notes=notes):
        return
    Job.objects.filter(pk=job.pk).update(
        plan=plan, engine=plan.get("engine", ""), encode_cost_s=encode_cost_s, duration_s=duration_s
    )
    if plays_directly and Job.objects.filter(pk=job.pk, source_playable_at=None).update(source_playable_at=Now()):
        append_event("job.source_playable", job=job, attempt_number=claim.number)
    if plays_directly:
        announce_playable(job, what=SOURCE)
    Unit.objects.bulk_create(
        [
            Unit(
                job=job,
                kind=unit.kind,
                index=unit.index,
                first_frame=unit.first_frame,
                end_frame=unit.end_frame,
                weight_frames=unit.weight_frames,
            )
            for unit in units
        ]
        + [Unit(job=job, kind=UnitKind.PUBLISH)]
    )


@transaction.atomic
def replan(claim: Claim, lease: Lease, *, why: str) -> bool:
    """Delete the job's units and redo its plan: another engine wrote it, and this container's cannot use it.

    Return False if other containers can use it, and are working: their work would be lost. A no-op if
    another slot has already done so. Raises FencedError or AttemptCancelledError.
    """
    job = lock_job(claim.job_id)
    if (
        require_running_attempt(job, claim) is None
        or not Unit.objects.filter(pk=lease.unit_id, fence=lease.fence).exists()
    ):
        return True
    done = Unit.objects.filter(job=job, state=UnitState.DONE, attempt__state=AttemptState.RUNNING)
    if done.exclude(attempt=claim.attempt_id).exists():
        return False
    Unit.objects.filter(job=job).exclude(kind=UnitKind.PLAN).delete()
    plan = Unit.objects.get(job=job, kind=UnitKind.PLAN)
    plan.job = job
    transition(plan, UnitEvent.REDO, text=why, attempt=None, output=None, done_at=None)
    Job.objects.filter(pk=job.pk).update(plan=None)
    return True


def _finish(job: Job, claim: Claim, lease: Lease, *, output: dict[str, Any], notes: Sequence[str] = ()) -> bool:
    """Return True if this call marked the unit DONE, False if an earlier call with the same lease did."""
    unit = require_current_lease(job, lease)
    if unit.state == UnitState.DONE:
        return False
    attempt = require_running_attempt(job, claim)
    if attempt is None or unit.attempt_id != attempt.pk:
        message = f"{unit} is no longer held by this attempt"
        raise FencedError(message)
    unit.attempt = attempt
    transition(
        unit,
        UnitEvent.FINISH,
        text=" ".join([f"{unit.kind} {unit.index} by attempt {claim.number}.", *notes])
        if notes
        else f"{unit.kind} {unit.index} by attempt {claim.number}",
        output=output,
        done_at=Now(),
    )
    held_s: Any = Extract(Now() - Value(unit.leased_at, output_field=DateTimeField()), "epoch")
    Attempt.objects.filter(pk=attempt.pk).update(
        finished_work_s=F("finished_work_s") + held_s,
        units_done=F("units_done") + int(unit.kind in WORK_UNIT_KINDS),
    )
    return True


def require_current_lease(job: Job, lease: Lease) -> Unit:
    """Return the unit of the locked job. Raise FencedError unless this is its newest lease."""
    unit = Unit.objects.filter(pk=lease.unit_id).first()
    if unit is None:
        message = f"the job was planned again; its unit {lease.kind} {lease.index} no longer exists"
        raise FencedError(message)
    unit.job = job
    if (unit.fence, unit.lease_id) != (lease.fence, lease.lease_id):
        message = f"{unit}: lease {lease.fence} was superseded by {unit.fence}"
        raise FencedError(message)
    return unit


@transaction.atomic
def finish_attempt(claim: Claim) -> bool:
    """Mark the attempt SUCCEEDED before its container exits with code 0.

    The job is done, or other attempts hold the remaining units. Return False if those attempts have
    ended in the meantime: this is now the only container of the job, and must continue to claim units.
    """
    job = lock_job(claim.job_id)
    attempt = read_attempt(job, claim.number)
    if attempt.state != AttemptState.RUNNING or attempt.claim_id != claim.claim_id:
        return True
    if job.state in ACTIVE_JOB_STATES and not has_working_siblings(job, claim):
        return False
    transition(attempt, AttemptEvent.SUCCEED, counted=False, exit_code=0, ended_at=Now())
    return True


@transaction.atomic
def fail_attempt(claim: Claim, *, reason: Reason, text: str, exit_code: int) -> None:
    """Mark the attempt FAILED, with the reason, before its container exits. A no-op if the attempt has ended."""
    job = lock_job(claim.job_id)
    attempt = read_attempt(job, claim.number)
    if attempt.state in LIVE_ATTEMPT_STATES and attempt.claim_id == claim.claim_id:
        end_attempt(attempt, AttemptEvent.FAIL, reason=reason, text=text, exit_code=exit_code)


@transaction.atomic
def reject_input(
    claim: Claim, *, code: str, message: str, exit_code: int, details: Mapping[str, Any] | None = None
) -> None:
    """Fail the job after a single attempt because the input cannot be transcoded.

    `message` is for the person who uploaded it; `details` are for it in other languages (`transcode.rejections`).
    Repeating the call, after a lost response, is a no-op.
    """
    job = lock_job(claim.job_id)
    if has_failed(job, claim):
        return
    attempt = require_running_attempt(job, claim)
    if attempt is not None and job.state == JobState.RUNNING:
        fail_job(job, attempt, code=code, message=message, details=details, exit_code=exit_code)


def fail_job(
    job: Job, attempt: Attempt, *, code: str, message: str, exit_code: int, details: Mapping[str, Any] | None = None
) -> None:
    """Fail the locked RUNNING job and its attempt because of the input, and end the job's other attempts."""
    transition(
        attempt,
        AttemptEvent.FAIL,
        reason=Reason.INPUT_REJECTED,
        text=f"{code}: {message}",
        details=details,
        counted=True,
        exit_code=exit_code,
        ended_at=Now(),
    )
    transition(job, JobEvent.REJECT, reason=code, text=message, details=details, finished_at=Now())
    end_job_attempts(job, reason=Reason.JOB_ENDED)


def has_failed(job: Job, claim: Claim) -> bool:
    """Return whether the claim's attempt is already FAILED, as after a first call whose response was lost."""
    attempt = read_attempt(job, claim.number)
    return attempt.state == AttemptState.FAILED and attempt.claim_id == claim.claim_id


def has_working_siblings(job: Job, claim: Claim) -> bool:
    """Return whether another container works on the job."""
    return bool(live_attempts(job).filter(state=AttemptState.RUNNING).exclude(number=claim.number).exists())
