"""Claims: a container claims its attempt, then leases one unit after another.

Every claim is fenced. The attempt's `claim_id` and the unit's fence (a fencing token that grows
with each lease) keep a superseded process from writing.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from ...lifecycle.errors import AttemptCancelledError, BatchreelError, FencedError
from ...lifecycle.states import (
    MEDIA_UNIT_KINDS,
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
from ...storage.keys import job_folder, unit_folder
from ..state.locking import lock_job, read_attempt
from ..state.transition import transition


class JobAlreadyDoneError(BatchreelError):
    """The job has already succeeded; there is nothing to do."""

    code = "IDEMPOTENT_DONE"


class NotClaimableError(BatchreelError):
    """The attempt belongs to another Batch job or to another process."""

    code = "NOT_CLAIMABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A container's claim on its attempt.

    `claim_id` identifies the process, which distinguishes a repeated claim from a competing one.
    """

    attempt_id: int
    job_id: uuid.UUID
    number: int
    claim_id: uuid.UUID
    vcpus: int
    source_name: str
    profile: str
    profile_fields: dict[str, Any] = field(default_factory=dict, hash=False)
    """The profile itself, as it was when the job was requested (profile_from_json)."""
    machine_id: str = ""
    """Id of the machine on which the container runs; empty if unknown."""
    traceparent: str = ""
    may_transcribe: bool = False
    """Whether the source has not been transcribed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A container's lease on one unit.

    Object keys contain `fence` and `lease_id`, so no two writers ever share a key.
    """

    unit_id: int
    kind: UnitKind
    index: int
    fence: int
    lease_id: str
    weight_frames: int
    key_prefix: str
    is_redo: bool
    """The unit was finished before, but its output failed verification."""
    plan_fence: int
    """Fence of the plan that the unit is part of. It changes if the job is planned again."""


class NothingToLease(enum.Enum):
    """Why there is no unit for this container at the moment."""

    JOB_DONE = "the job has succeeded"
    HELD_BY_OTHERS = "another live attempt holds the remaining units"
    PLAN_FIRST = "another live attempt is making the plan"
    OWN_WORK_FIRST = "the remaining units wait for units that this attempt holds"


@transaction.atomic
def claim_attempt(
    *, job_id: uuid.UUID, number: int, batch_job_id: str | None, claim_id: uuid.UUID, machine_id: str = ""
) -> Claim:
    """Claim the attempt for this process, which makes it RUNNING.

    `machine_id` is the same for all containers of one machine; empty if unknown.

    Repeating the call with the same `claim_id` is a no-op. The Batch job's id is stored if the row
    does not contain it yet. Raises NotFoundError, JobAlreadyDoneError, AttemptCancelledError,
    FencedError (the attempt has ended) or NotClaimableError.
    """
    job = lock_job(job_id)
    attempt = read_attempt(job, number)
    if job.state == JobState.SUCCEEDED:
        message = f"job {job_id} has already succeeded"
        raise JobAlreadyDoneError(message)
    if attempt.state == AttemptState.RUNNING and attempt.claim_id == claim_id:
        return _claim(attempt, claim_id)
    require_claimable(attempt, batch_job_id)
    transition(
        attempt,
        AttemptEvent.CLAIM,
        text=batch_job_id or "outside Batch",
        claim_id=claim_id,
        machine_id=machine_id,
        batch_job_id=batch_job_id or attempt.batch_job_id,
        submit_at=None,
        claimed_at=Now(),
        heartbeat_at=Now(),
        progressed_at=Now(),
        stage="claim",
    )
    if job.state == JobState.QUEUED:
        transition(job, JobEvent.CLAIM, text=f"attempt {number}", next_attempt_at=None)
    Unit.objects.bulk_create([Unit(job=job, kind=UnitKind.PLAN)], ignore_conflicts=True)
    return _claim(attempt, claim_id)


def require_claimable(attempt: Attempt, batch_job_id: str | None) -> None:
    """Raise AttemptCancelledError, FencedError or NotClaimableError unless this Batch job may claim the attempt."""
    if attempt.state == AttemptState.CANCELLED:
        message = f"{attempt}: {attempt.reason_message}"
        raise AttemptCancelledError(message)
    if attempt.state not in (AttemptState.SUBMITTING, AttemptState.SUBMITTED):
        message = f"{attempt} is not waiting for a container"
        raise FencedError(message) if attempt.state != AttemptState.RUNNING else NotClaimableError(message)
    if attempt.batch_job_id not in (None, batch_job_id):
        message = f"{attempt} belongs to Batch job {attempt.batch_job_id}, not to {batch_job_id}"
        raise NotClaimableError(message)


@transaction.atomic
def lease_unit(claim: Claim, *, lease_id: str, transcribes: bool = False) -> Lease | NothingToLease:
    """Lease a unit whose predecessors are DONE and that no RUNNING attempt holds, or return why there is none.

    Leases are never released: a unit of an attempt that is not RUNNING is free. The caller chooses
    `lease_id`, 12 random characters; calling again with the same one, after a lost response,
    returns the same lease. `transcribes` is whether this container has an engine for speech: those without one
    get units of speech only if they are the last container, to finish them without a text. Raises
    AttemptCancelledError or FencedError.
    """
    job = lock_job(claim.job_id)
    attempt = require_running_attempt(job, claim)
    if attempt is None:
        return NothingToLease.JOB_DONE
    plan = Unit.objects.select_related("attempt").get(job=job, kind=UnitKind.PLAN)
    if taken := Unit.objects.filter(job=job, state=UnitState.LEASED, attempt=attempt, lease_id=lease_id).first():
        return _lease(taken, job, plan)
    unit = _leasable(job, attempt, plan, transcribes=transcribes).first()
    if unit is None:
        if Unit.objects.filter(job=job, state=UnitState.LEASED, attempt=attempt).exists():
            return NothingToLease.OWN_WORK_FIRST
        return NothingToLease.HELD_BY_OTHERS if plan.state == UnitState.DONE else NothingToLease.PLAN_FIRST
    unit.job = job
    transition(
        unit,
        UnitEvent.LEASE,
        text=f"{unit.kind} {unit.index} by attempt {attempt.number}",
        fence=unit.fence + 1,
        attempt=attempt,
        lease_id=lease_id,
        leased_at=Now(),
    )
    return _lease(unit, job, plan)


def _lease(unit: Unit, job: Job, plan: Unit) -> Lease:
    return Lease(
        unit_id=unit.pk,
        kind=UnitKind(unit.kind),
        index=unit.index,
        fence=unit.fence,
        lease_id=unit.lease_id,
        weight_frames=unit.weight_frames,
        key_prefix=f"{job_folder(job)}/{unit_folder(unit)}",
        is_redo=bool(unit.output),
        plan_fence=unit.fence if unit.kind == UnitKind.PLAN else plan.fence,
    )


def require_running_attempt(job: Job, claim: Claim) -> Attempt | None:
    """Return the claim's RUNNING attempt of the locked job, or None if the job has already succeeded.

    Raises AttemptCancelledError or FencedError.
    """
    attempt = read_attempt(job, claim.number)
    if job.state == JobState.SUCCEEDED:
        return None
    if attempt.state == AttemptState.RUNNING and attempt.claim_id == claim.claim_id:
        return attempt
    message = f"{attempt}: {attempt.reason_message}"
    if attempt.state == AttemptState.CANCELLED:
        raise AttemptCancelledError(message)
    raise FencedError(message)


def _leasable(job: Job, attempt: Attempt, plan: Unit, *, transcribes: bool) -> Any:
    """Return the free units in the order in which this attempt leases them: plan, then media, speech, publishing.

    The first units of audio and video come first, because a growing playlist begins with them. All
    audio units but those of the beginning may read the whole source, which the attempt that made the plan has:
    while that one is RUNNING, they come last for others. Speech follows the media, which people can watch meanwhile.
    """
    units = Unit.objects.select_for_update(of=("self",)).filter(job=job)
    free = Q(state=UnitState.PENDING) | Q(state=UnitState.LEASED) & (
        Q(attempt=None) | ~Q(attempt__state=AttemptState.RUNNING)
    )
    kinds = [UnitKind.PLAN]
    if plan.state == UnitState.DONE:
        left = Unit.objects.filter(job=job).exclude(state=UnitState.DONE)
        kinds = [UnitKind.AUDIO, UnitKind.VIDEO]
        if transcribes or _must_give_up_speech(left, attempt):
            kinds.append(UnitKind.SPEECH)
        if not left.filter(kind__in=WORK_UNIT_KINDS).exists():
            kinds = [UnitKind.PUBLISH]
    planner = plan.attempt
    is_others = planner is not None and planner.state == AttemptState.RUNNING and planner.pk != attempt.pk
    comes_last = Case(
        When(kind=UnitKind.SPEECH, then=Value(2)),
        When(kind=UnitKind.AUDIO, first_frame__gt=0, then=Value(int(is_others))),
        default=Value(0),
    )
    # By name, "audio" comes before "video".
    return units.filter(free, kind__in=kinds).order_by(comes_last, "index", "kind")


def _must_give_up_speech(left: Any, attempt: Attempt) -> bool:
    """Return whether only speech is left, and no other container that works could do it."""
    others = Attempt.objects.filter(job=attempt.job_id, state=AttemptState.RUNNING).exclude(pk=attempt.pk)
    return not left.filter(kind__in=MEDIA_UNIT_KINDS).exists() and not others.exists()


def _claim(attempt: Attempt, claim_id: uuid.UUID) -> Claim:
    return Claim(
        attempt_id=attempt.pk,
        job_id=attempt.job_id,
        number=attempt.number,
        claim_id=claim_id,
        vcpus=attempt.vcpus,
        source_name=attempt.job.source_name,
        profile=attempt.job.profile,
        profile_fields=attempt.job.profile_fields,
        machine_id=attempt.machine_id,
        traceparent=attempt.job.traceparent,
        may_transcribe=attempt.job.video.transcribed_source != attempt.job.source_name,
    )
