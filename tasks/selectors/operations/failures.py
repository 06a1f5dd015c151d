"""The newest jobs that failed, each with why, what to do, and whether the video has been processed since."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from ...lifecycle.reasons import Reason, what_to_do
from ...lifecycle.states import JobState
from ...models import Attempt, Job
from ...texts.stored import translated
from ..videos import reason_text

NEWEST = 10
"""Failures on the operators' page. The list of jobs has all of them."""

FAILED_STATES = (JobState.DEAD, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job ended or waits, in words."""

    job: Job
    message: str
    """What its owner reads."""
    advice: tuple[str, ...]
    """What an operator can do: about the job, and about the end of its last attempt."""
    last_reason: str
    """The reason of the last attempt that failed, if that is not the job's own."""
    newer: Job | None
    """The newest job of the video, if it is another one."""


def newest_failures() -> list[Failure]:
    """Return the newest failures, the last one first, in three queries."""
    jobs = Job.objects.filter(state__in=FAILED_STATES, finished_at__isnull=False)
    newest = jobs.select_related("video__owner").defer("plan").order_by("-finished_at")[:NEWEST]
    return _described(list(newest))


def failure_of(job: Job) -> Failure:
    """Return why one job ended or waits."""
    return _described([job])[0]


def _described(jobs: list[Job]) -> list[Failure]:
    last = _last_attempts(job.pk for job in jobs)
    newer = Job.objects.filter(video__in=[job.video_id for job in jobs]).defer("plan")
    newest = {job.video_id: job for job in newer.order_by("video_id", "-created_at").distinct("video_id")}
    found = []
    for job in jobs:
        attempt = last.get(job.pk)
        reason = attempt.reason if attempt and attempt.reason not in (job.reason, Reason.INPUT_REJECTED) else ""
        advice = (what_to_do(job.reason), what_to_do(reason))
        other = newest.get(job.video_id)
        found.append(
            Failure(
                job=job,
                message=reason_text(job),
                advice=tuple(dict.fromkeys(translated(text) for text in advice if text)),
                last_reason=reason,
                newer=other if other is not None and other.pk != job.pk else None,
            )
        )
    return found


def _last_attempts(job_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Attempt]:
    """Return the last attempt of each job that ended with a reason other than a decision."""
    ended = Attempt.objects.filter(job__in=list(job_ids), state__in=["FAILED", "LOST"]).order_by("job_id", "-number")
    return {attempt.job_id: attempt for attempt in ended.only("job_id", "reason").distinct("job_id")}
