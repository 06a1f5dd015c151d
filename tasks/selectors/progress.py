"""Progress of jobs, computed from their units and attempts in two queries for any number of jobs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Greatest, Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.reasons import Counts, Reason
from ..lifecycle.states import (
    AWAIT_PLAN_STAGE,
    WORK_UNIT_KINDS,
    AttemptState,
    JobState,
    UnitKind,
    UnitState,
)
from ..models import Attempt, Job, Unit

MAX_UNFINISHED_PERCENT = 99
"""Verifying and publishing follow the last media unit, so 100 is reserved for what can be played."""

_LEAST_SHARE_FOR_ESTIMATE = 0.03
_LEAST_ELAPSED_FOR_ESTIMATE = timedelta(seconds=10)
"""Below this, the speed of the containers is not known well enough for an estimate."""

STAGE_LABELS = {
    "claim": _("Getting ready"),
    "reserve": _("Waiting for room on the machine"),
    AWAIT_PLAN_STAGE: _("Waiting for the analysis"),
    "fetch": _("Fetching the file"),
    "plan": _("Analysing the file"),
    "encode": _("Encoding"),
    "store": _("Storing the result"),
    "publish": _("Checking and publishing"),
}
_BATCH_LABELS = {
    "STARTING": _("Starting a machine"),
    "RUNNING": _("Starting a machine"),
}
_ENDED_LABELS = {
    JobState.SUCCEEDED: _("Done"),
    JobState.FAILED: _("Failed"),
    JobState.CANCELLED: _("Cancelled"),
    JobState.DEAD: _("Stopped after several attempts"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """Progress of a job. `percent` is 0 to 100, and 100 only for SUCCEEDED; it never decreases within an attempt.

    Only media units are included. `remaining_s` is None if no estimate is possible.
    """

    percent: int = 0
    stage_label: str = ""
    units_done: int = 0
    units_total: int = 0
    attempt_number: int = 0
    """Number of the round: how often the job has begun, or begun again."""
    containers: int = 0
    """Containers that run now."""
    remaining_s: int | None = None


@dataclass(slots=True)
class _Work:
    """Sums over the media units of one job. Weights are in frames."""

    total_frames: int = 0
    done_frames: int = 0
    units_total: int = 0
    units_done: int = 0
    done_by_attempt: dict[int | None, int] = field(default_factory=lambda: defaultdict(int))


def job_progress(jobs: Iterable[Job]) -> dict[uuid.UUID, JobProgress]:
    """Return the progress of each job, by job id."""
    by_id = {job.pk: job for job in jobs}
    if not by_id:
        return {}
    work = _work(by_id)
    attempts = _attempts(by_id)
    return {job_id: _progress(job, work[job_id], attempts[job_id]) for job_id, job in by_id.items()}


def _work(job_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, _Work]:
    added: dict[uuid.UUID, _Work] = defaultdict(_Work)
    rows = (
        Unit.objects.filter(job_id__in=list(job_ids), kind__in=WORK_UNIT_KINDS)
        .order_by()
        .values_list("job_id", "state", "attempt_id")
        .annotate(units=Count("pk"), frames=Sum("weight_frames"))
    )
    for job_id, state, attempt_id, units, frames in rows:
        one = added[job_id]
        one.units_total += units
        one.total_frames += frames
        if state == UnitState.DONE:
            one.units_done += units
            one.done_frames += frames
            one.done_by_attempt[attempt_id] += frames
    return added


def _attempts(job_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Attempt]]:
    """Return each job's leads, and its running and newest attempt, newest first.

    `elapsed` is the time since the container could begin with media units, by the database's clock: helpers
    may have waited for the plan.
    """
    plan = Unit.objects.filter(job=OuterRef("job"), kind=UnitKind.PLAN)
    began_at = Greatest(F("claimed_at"), Subquery(plan.values("done_at")[:1]))  # ignores NULL, in PostgreSQL
    found: dict[uuid.UUID, list[Attempt]] = defaultdict(list)
    attempts = (
        Attempt.objects.filter(job_id__in=list(job_ids))
        .filter(Q(state=AttemptState.RUNNING) | Q(number=F("job__fence")) | Q(helps=None))
        .annotate(elapsed=ExpressionWrapper(Now() - began_at, output_field=DurationField()))
        .order_by("-number")
    )
    for attempt in attempts:
        found[attempt.job_id].append(attempt)
    return found


def _progress(job: Job, work: _Work, attempts: list[Attempt]) -> JobProgress:
    running = [attempt for attempt in attempts if attempt.state == AttemptState.RUNNING]
    in_flight_frames = sum(max(0, each.encoded_frames - work.done_by_attempt[each.pk]) for each in running)
    reached_frames = min(work.total_frames, work.done_frames + in_flight_frames)
    return JobProgress(
        percent=_percent(job, reached_frames, work.total_frames),
        stage_label=_stage_label(job, _furthest(running) or attempts[:1]),
        units_done=work.units_done,
        units_total=work.units_total,
        attempt_number=sum(not each.is_helper for each in attempts),
        containers=len(running),
        remaining_s=_remaining_s(work, running, work.total_frames - reached_frames),
    )


def _percent(job: Job, reached_frames: int, total_frames: int) -> int:
    if job.state == JobState.SUCCEEDED:
        return 100
    return min(MAX_UNFINISHED_PERCENT, 100 * reached_frames // total_frames) if total_frames else 0


def is_interrupted(job: Job) -> bool:
    """Return whether a job in RETRY_WAIT waits because a machine was lost, and not because an attempt failed."""
    reason = Reason.__members__.get(job.reason)
    return reason is None or reason.counts is not Counts.YES


def _furthest(running: list[Attempt]) -> list[Attempt]:
    """Return the container that is in the last stage: helpers that still fetch the file do not hold the others up."""
    stages = list(STAGE_LABELS)
    return sorted(running, key=lambda each: stages.index(each.stage) if each.stage in stages else 0)[-1:]


def _stage_label(job: Job, newest: list[Attempt]) -> str:
    if label := _ENDED_LABELS.get(JobState(job.state)):
        return str(label)
    if job.state == JobState.RETRY_WAIT:
        if is_interrupted(job):
            return gettext("Interrupted; continues automatically")
        return gettext("An attempt failed; the next follows")
    for attempt in newest:
        if attempt.state == AttemptState.RUNNING:
            return str(STAGE_LABELS.get(attempt.stage, attempt.stage))
        if attempt.batch_job_id:
            return str(_BATCH_LABELS.get(attempt.batch_status) or gettext("Waiting for a machine"))
    return gettext("Waiting in the queue")


def _remaining_s(work: _Work, running: list[Attempt], left_frames: int) -> int | None:
    """Return the seconds until the last frame, at the running attempts' average speed so far."""
    frames_per_s, all_frames = 0.0, 0
    for attempt in running:
        elapsed: timedelta = attempt.elapsed  # type: ignore[attr-defined]  # annotated in _attempts
        did_frames = max(attempt.encoded_frames, work.done_by_attempt[attempt.pk])
        all_frames += did_frames
        if elapsed > _LEAST_ELAPSED_FOR_ESTIMATE:
            frames_per_s += did_frames / elapsed.total_seconds()
    known = all_frames >= _LEAST_SHARE_FOR_ESTIMATE * work.total_frames
    return round(left_frames / frames_per_s) if known and frames_per_s and left_frames else None
