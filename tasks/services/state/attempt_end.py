"""What follows when an attempt ends: its charge, and what becomes of its job. Every way for an attempt to end goes through here."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.reasons import Reason
from ...lifecycle.retry import backoff_s
from ...lifecycle.states import (
    LIVE_ATTEMPT_STATES,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitState,
)
from ...models import Attempt, Job, Unit
from .budget import counted_attempts
from .transition import transition


def end_attempt(attempt: Attempt, event: AttemptEvent, *, reason: Reason, text: str = "", **columns: Any) -> None:
    """End a live attempt of a locked job (`attempt.job`), and send the job to RETRY_WAIT if no attempt of it lives any more.

    Whether it is counted follows from the reason, unless `columns` say otherwise.
    """
    units_in_progress = unfinished_units(attempt)
    transition(
        attempt,
        event,
        reason=reason,
        text=_with_units(text or reason.message, units_in_progress),
        **{"counted": reason.counts.value, "units_in_progress": units_in_progress, "ended_at": Now(), **columns},
    )
    retry_if_idle(attempt.job, reason=reason, text=text)


def unfinished_units(attempt: Attempt) -> list[str]:
    """The names ("video 3") of the units that the attempt holds and has not finished."""
    held = Unit.objects.filter(attempt=attempt, state=UnitState.LEASED).order_by("kind", "index")
    return [f"{kind} {index}" for kind, index in held.values_list("kind", "index")]


def _with_units(text: str, units_in_progress: list[str]) -> str:
    return f"{text} In work: {', '.join(units_in_progress)}." if units_in_progress else text


def suspect_units(job: Job) -> list[str]:
    """The units that every attempt that the spent budget counts had in work when it ended: one of them may be what ends containers."""
    held = counted_attempts(job).exclude(counted=False).values_list("units_in_progress", flat=True)
    if not held:
        return []
    return sorted(set.intersection(*(set(names) for names in held)))


def retry_if_idle(job: Job, *, reason: Reason, text: str = "") -> None:
    """A job enters RETRY_WAIT only when it is active, was granted, and no attempt of it lives."""
    if job.state not in (JobState.QUEUED, JobState.RUNNING) or live_attempts(job).exists():
        return
    wait_s = backoff_s(
        failures_in_a_row=attempts_since_progress(job),
        first_s=bridge_settings().backoff_first_s,
        cap_s=bridge_settings().backoff_cap_s,
        jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
    )
    transition(
        job,
        JobEvent.RETRY,
        reason=reason,
        text=text,
        next_attempt_at=Now() + timedelta(seconds=wait_s),
    )


def end_job_attempts(job: Job, *, reason: Reason) -> None:
    """End all live attempts of a locked job that was itself ended: their containers learn of it at the next heartbeat."""
    for attempt in live_attempts(job):
        attempt.job = job
        transition(attempt, AttemptEvent.CANCEL, reason=reason, counted=False, ended_at=Now())


def live_attempts(job: Job) -> Any:
    """The attempts that may have a container, or get one."""
    return Attempt.objects.filter(job=job, state__in=LIVE_ATTEMPT_STATES)


def attempts_since_progress(job: Job) -> int:
    """How many attempts have ended since the last one that finished a unit: the number that backoff grows with."""
    last_with_progress = (
        Unit.objects.filter(job=job, state=UnitState.DONE, attempt__isnull=False)
        .order_by("-attempt__number")
        .values_list("attempt__number", flat=True)
        .first()
    )
    since = max(last_with_progress or 0, job.budget_from)
    ended = Attempt.objects.filter(job=job, number__gt=since).exclude(state__in=LIVE_ATTEMPT_STATES)
    return ended.exclude(state=AttemptState.SUCCEEDED).count()
