"""Publishing, after every object was stored and verified.

One transaction sets what pages need, the job's state and the video's pointer. The manifest is in the
storage only, next to the playlists.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from ...lifecycle.errors import FencedError
from ...lifecycle.reasons import Reason
from ...lifecycle.states import (
    MEDIA_UNIT_KINDS,
    AttemptEvent,
    JobEvent,
    JobState,
    UnitEvent,
    UnitKind,
    UnitState,
)
from ...models import Captions, Job, Unit, Video
from ..editions.rows import BegunEdition, begin_for, point_at
from ..state.attempt_end import end_job_attempts
from ..state.locking import lock_job, lock_video, lock_video_of
from ..state.transition import transition
from .claim import Claim, Lease, require_running_attempt
from .finish import require_current_lease

OwnEdition = BegunEdition
"""An edition of what a container is about to publish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedUnit:
    """A media unit that is DONE. `output` also names the storage folder that contains its files."""

    kind: UnitKind
    index: int
    fence: int
    redo_count: int
    output: dict[str, Any]


def finished_units(job_id: uuid.UUID) -> list[FinishedUnit]:
    """Return the job's finished media units.

    Raises FencedError if they were removed, because the job has ended.
    """
    units = Unit.objects.filter(job_id=job_id, kind__in=MEDIA_UNIT_KINDS, state=UnitState.DONE).order_by(
        "kind", "index"
    )
    finished = [
        FinishedUnit(
            kind=UnitKind(u.kind), index=u.index, fence=u.fence, redo_count=u.redo_count, output=u.output or {}
        )
        for u in units
    ]
    if not finished:
        message = f"job {job_id} has no finished units: it has ended, and was pruned"
        raise FencedError(message)
    return finished


def finished_speech(job_id: uuid.UUID) -> list[dict[str, Any]]:
    """Return what the units of speech have found, in their order: `language` and `texts`, or the code of a `fault`."""
    units = Unit.objects.filter(job_id=job_id, kind=UnitKind.SPEECH, state=UnitState.DONE).order_by("index")
    return [dict(output or {}) for output in units.values_list("output", flat=True)]


def speech_fault(job_id: uuid.UUID) -> str:
    """Return the code with which a part of the job's speech has failed; empty if none has."""
    outputs = Unit.objects.filter(job_id=job_id, kind=UnitKind.SPEECH, output__has_key="fault")
    return str(outputs.values_list("output__fault", flat=True).first() or "")


def read_plan(job_id: uuid.UUID) -> dict[str, Any]:
    """Return the job's plan as the planning container stored it.

    Raises FencedError if it was removed, because the job has ended.
    """
    plan = Job.objects.filter(pk=job_id).values_list("plan", flat=True).first()
    if plan is None:
        message = f"job {job_id} has no plan: it has ended, and was pruned"
        raise FencedError(message)
    return dict(plan)


@transaction.atomic
def begin_own_edition(claim: Claim, lease: Lease) -> BegunEdition | None:
    """Begin an edition of what the container is about to publish. Return None if the video was deleted.

    So that captions which a person added are not missing until the next edit tick. Raises FencedError.
    """
    job_id = claim.job_id
    video = lock_video(Job.objects.filter(pk=job_id).values_list("video_id", flat=True).first())
    job = lock_job(job_id)
    require_current_lease(job, lease)
    return begin_for(video, job) if video else None


@transaction.atomic
def publish(
    claim: Claim,
    lease: Lease,
    *,
    playlist_key: str,
    poster_key: str,
    duration_s: float,
    warnings: Sequence[dict[str, str]] = (),
    chapters: Sequence[dict[str, Any]] = (),
    transcript: dict[str, Any] | None = None,
    edition: BegunEdition | None = None,
) -> None:
    """Mark the job SUCCEEDED, and point the video at it unless it was deleted or already shows a newer job.

    `warnings` and `chapters` are those of the manifest; a warning may also have its `detail` (`texts.stored`).
    `transcript` are automatic captions (`editions.automatic`): the edit tick offers them after that.
    `edition` is one of this publication that is stored and was read back: it is shown in the same step.

    Repeating the call, after a lost response, is a no-op. Raises FencedError or
    AttemptCancelledError if another publication, a rescue or a cancellation came first; nothing was
    written then.
    """
    lock_video_of(claim.job_id)
    job = lock_job(claim.job_id)
    unit = require_current_lease(job, lease)
    if unit.state == UnitState.DONE and job.state == JobState.SUCCEEDED:
        return
    attempt = require_running_attempt(job, claim)
    if attempt is None or unit.attempt_id != attempt.pk:
        message = f"{unit} is no longer held by this attempt"
        raise FencedError(message)
    unit.attempt = attempt
    transition(unit, UnitEvent.FINISH, output={"playlist_key": playlist_key}, done_at=Now())
    transition(
        job,
        JobEvent.PUBLISH,
        playlist_key=playlist_key,
        edition_key=edition.playlist_key if edition else "",
        poster_key=poster_key,
        duration_s=duration_s,
        warnings=list(warnings),
        chapters=list(chapters),
        transcript=transcript,
        reason="",
        finished_at=Now(),
    )
    transition(attempt, AttemptEvent.SUCCEED, counted=False, exit_code=0, ended_at=Now())
    end_job_attempts(job, reason=Reason.JOB_ENDED)
    _mark_superseded(job)
    if edition:
        point_at(job, edition)
    _point_video_at(job, shown_edit=edition.edits.number if edition else 0)


def _mark_superseded(job: Job) -> None:
    """Start the retention period of the older publication: it may have had viewers until now."""
    others = Job.objects.filter(video_id=job.video_id, state=JobState.SUCCEEDED, superseded_at=None)
    others.filter(created_at__lt=job.created_at).update(superseded_at=Now())
    if others.filter(created_at__gt=job.created_at).exists():
        Job.objects.filter(pk=job.pk).update(superseded_at=Now())


def _point_video_at(job: Job, *, shown_edit: int) -> None:
    newer = Job.objects.filter(pk=OuterRef("published_job"), created_at__gt=job.created_at)
    # Automatic captions come and go with the file of which they are, by another edition.
    has_others = Captions.objects.filter(video=job.video_id).exclude(transcribed_source__in=["", job.source_name])
    changes = int(job.transcript is not None or has_others.exists())
    Video.objects.filter(pk=job.video_id, deleted_at=None).filter(Q(published_job=None) | ~Exists(newer)).update(
        published_job=job, shown_edit=shown_edit, newest_edit=F("newest_edit") + changes
    )


@transaction.atomic
def redo_units(claim: Claim, lease: Lease, *, bad: Sequence[tuple[FinishedUnit, str]]) -> None:
    """Redo the units that failed verification, under a new fence; publishing waits for them.

    `bad` contains pairs: the unit as it was verified, and what is wrong with it. A unit that was
    redone since then is left alone. The publish unit is detached from this attempt, so that this or
    another container can claim it once the units are finished again.
    """
    job = lock_job(claim.job_id)
    unit = require_current_lease(job, lease)
    if require_running_attempt(job, claim) is None:
        return
    for verified, problem in bad:
        damaged = Unit.objects.get(job=job, kind=verified.kind, index=verified.index)
        damaged.job = job
        if (damaged.state, damaged.fence) == (UnitState.DONE, verified.fence):
            transition(
                damaged,
                UnitEvent.REDO,
                text=f"{verified.kind} {verified.index}: {problem}",
                redo_count=damaged.redo_count + 1,
                attempt=None,
                # Growing playlists list the old objects until the new ones are there: they must not shrink.
                output={**(damaged.output or {}), "problem": problem},
                done_at=None,
            )
    Unit.objects.filter(pk=unit.pk, fence=unit.fence).update(attempt=None)
