"""Finishing a unit, and with the last one the attempt. A finish counts only while the lease is the unit's newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from ...lifecycle.errors import FencedError
from ...lifecycle.reasons import Reason
from ...lifecycle.states import (
    ACTIVE_JOB_STATES,
    LIVE_ATTEMPT_STATES,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitEvent,
    UnitKind,
    UnitState,
)
from ...models import Job, Unit, Video
from ..state.attempt_end import end_attempt, end_job_attempts, live_attempts
from ..state.locking import lock_job, read_attempt
from ..state.transition import transition
from .claim import Claim, Lease, require_running_attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """A unit that the plan asks for. Frames are on the job's one grid."""

    kind: UnitKind
    index: int
    first_frame: int
    end_frame: int
    weight_frames: int


@transaction.atomic
def finish_unit(claim: Claim, lease: Lease, *, output: dict[str, Any]) -> None:
    """Mark the unit DONE with what it made. Doing it again, after a lost answer, is success. Raises FencedError and the like."""
    job = lock_job(claim.job_id)
    _finish(job, claim, lease, output=output)


@transaction.atomic
def finish_plan(
    claim: Claim, lease: Lease, *, plan: dict[str, Any], units: Sequence[PlannedUnit], notes: Sequence[str] = ()
) -> None:
    """Mark the plan unit DONE and insert the units that it asks for, and the publishing, in the same transaction.

    `notes` say what is odd about the source; they become part of the event.
    """
    job = lock_job(claim.job_id)
    if not _finish(job, claim, lease, output={"units": len(units)}, notes=notes):
        return
    Job.objects.filter(pk=job.pk).update(plan=plan)
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
            if unit.kind is not UnitKind.PREVIEW or _may_have_preview(job)
        ]
        + [Unit(job=job, kind=UnitKind.PUBLISH)]
    )


def _may_have_preview(job: Job) -> bool:
    """Whether the video shows nothing yet. What is shown is never replaced by less."""
    return job.level is None and Video.objects.filter(pk=job.video_id, published_job=None).exists()


@transaction.atomic
def replan(claim: Claim, lease: Lease, *, why: str) -> None:
    """This container's engine can't go on with the job's plan (an older one made it): forget the units, and plan anew.

    Nothing happens where another slot has done so already. Raises FencedError or AttemptCancelledError.
    """
    job = lock_job(claim.job_id)
    if (
        require_running_attempt(job, claim) is None
        or not Unit.objects.filter(pk=lease.unit_id, fence=lease.fence).exists()
    ):
        return
    Unit.objects.filter(job=job).exclude(kind=UnitKind.PLAN).delete()
    plan = Unit.objects.get(job=job, kind=UnitKind.PLAN)
    plan.job = job
    transition(plan, UnitEvent.REDO, text=why, attempt=None, output=None, done_at=None)
    Job.objects.filter(pk=job.pk).update(plan=None)


def _finish(job: Job, claim: Claim, lease: Lease, *, output: dict[str, Any], notes: Sequence[str] = ()) -> bool:
    """True where this call made the unit DONE, False where an earlier call with the same lease did."""
    unit = require_current_lease(job, lease)
    if unit.state == UnitState.DONE:
        return False
    attempt = require_running_attempt(job, claim)
    if attempt is None or unit.attempt_id != attempt.pk:
        message = f"{unit} is in other hands"
        raise FencedError(message)
    unit.attempt = attempt
    transition(
        unit,
        UnitEvent.FINISH,
        text=". ".join([f"{unit.kind} {unit.index} by attempt {claim.number}", *notes]),
        output=output,
        done_at=Now(),
    )
    return True


def require_current_lease(job: Job, lease: Lease) -> Unit:
    """The unit of a locked job, if the lease is still its newest. Raises FencedError."""
    unit = Unit.objects.filter(pk=lease.unit_id).first()
    if unit is None:
        message = f"the job was planned again; its unit {lease.kind} {lease.index} is no more"
        raise FencedError(message)
    unit.job = job
    if (unit.fence, unit.lease_id) != (lease.fence, lease.lease_id):
        message = f"{unit}: lease {lease.fence} was superseded by {unit.fence}"
        raise FencedError(message)
    return unit


@transaction.atomic
def finish_attempt(claim: Claim) -> bool:
    """The container is about to leave with exit code 0: the job is done, or what is left is in other hands.

    False where the other hands are gone since this container last looked: it is the only one left, and has to go on claiming.
    """
    job = lock_job(claim.job_id)
    attempt = read_attempt(job, claim.number)
    if attempt.state != AttemptState.RUNNING or attempt.claim_id != claim.claim_id:
        return True
    if job.state in ACTIVE_JOB_STATES and not live_siblings(job, claim):
        return False
    transition(attempt, AttemptEvent.SUCCEED, counted=False, exit_code=0, ended_at=Now())
    return True


@transaction.atomic
def fail_attempt(claim: Claim, *, reason: Reason, text: str, exit_code: int) -> None:
    """The container is about to leave without success, and says why. Nothing happens where the attempt has ended already."""
    job = lock_job(claim.job_id)
    attempt = read_attempt(job, claim.number)
    if attempt.state in LIVE_ATTEMPT_STATES and attempt.claim_id == claim.claim_id:
        end_attempt(attempt, AttemptEvent.FAIL, reason=reason, text=text, exit_code=exit_code)


@transaction.atomic
def reject_input(claim: Claim, *, code: str, message: str, exit_code: int) -> None:
    """The input cannot be transcoded: the job is FAILED after this one execution, with a sentence for the person who uploaded it."""
    job = lock_job(claim.job_id)
    attempt = require_running_attempt(job, claim)
    if attempt is None or job.state != JobState.RUNNING:
        return
    transition(
        attempt,
        AttemptEvent.FAIL,
        reason=Reason.INPUT_REJECTED,
        text=f"{code}: {message}",
        counted=True,
        exit_code=exit_code,
        ended_at=Now(),
    )
    transition(job, JobEvent.REJECT, reason=code, text=message, finished_at=Now())
    end_job_attempts(job, reason=Reason.JOB_ENDED)


def live_siblings(job: Job, claim: Claim) -> bool:
    """Whether another attempt of the job is at work."""
    return bool(live_attempts(job).exclude(number=claim.number).exists())
