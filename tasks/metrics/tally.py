"""Adds what has ended to the counters, each row once.

A row is marked in the transaction that adds it, so no order of commits, crash or second tick can
add it twice or leave it out. A row that is purged within the minute before that is not added.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from ..conf import bridge_settings
from ..lifecycle.states import AttemptState, JobPriority, JobState
from ..models import Attempt, Job
from .counters import Amounts, add
from .definitions import (
    ATTEMPTS_ENDED,
    INPUTS_REJECTED,
    JOBS_ENDED,
    NO,
    READY,
    SUCCEEDED,
    VCPU_SECONDS,
    YES,
)

LIMIT = 5000
"""Maximum number of attempts, and of jobs, that one run adds: more than a minute can bring."""


def tally_ended() -> list[float]:
    """Add the attempts and jobs that have ended to the counters.

    Return the seconds from upload to publication of each job that was added.
    """
    _tally_attempts()
    return _tally_jobs()


@transaction.atomic
def _tally_attempts() -> None:
    overdue = Now() - timedelta(seconds=bridge_settings().final_status_wait_s)
    decided = Q(counted__isnull=False) | Q(ended_at__lt=overdue)
    ended = Attempt.objects.filter(decided, ended_at__isnull=False)
    amounts = Amounts()
    for attempt in _take(ended, "ended_at", "claimed_at", "state", "reason", "counted", "vcpus"):
        reason = attempt.reason or SUCCEEDED
        # Undecided for too long: `state.budget` treats it as counted from then on.
        counted = NO if attempt.counted is False or attempt.state == AttemptState.SUCCEEDED else YES
        amounts[ATTEMPTS_ENDED, (reason, counted)] += 1
        if attempt.claimed_at:
            seconds = (attempt.ended_at - attempt.claimed_at).total_seconds()
            amounts[VCPU_SECONDS, (attempt.state,)] += attempt.vcpus * max(0.0, seconds)
    add(amounts)


@transaction.atomic
def _tally_jobs() -> list[float]:
    ended = Job.objects.filter(finished_at__isnull=False)
    amounts = Amounts()
    ready_s: list[float] = []
    for job in _take(ended, "finished_at", "created_at", "state", "reason", "automatic", "priority"):
        amounts[JOBS_ENDED, (job.state,)] += 1
        if job.state == JobState.FAILED:
            amounts[INPUTS_REJECTED, (job.reason,)] += 1
        # A job that a person or an import requested does not begin with an upload.
        if job.state == JobState.SUCCEEDED and job.automatic and job.priority == JobPriority.UPLOAD:
            ready_s.append((job.finished_at - job.created_at).total_seconds())
    for seconds in ready_s:
        amounts.observe(READY, seconds)
    add(amounts)
    return ready_s


def _take(ended: Any, *columns: str) -> list[Any]:
    """Return rows that the counters do not include yet, the first to end first, and mark them.

    A locked row is left for the next run. The first of `columns` is the time of the end; others are not
    read, because plans are large.
    """
    left = ended.filter(tallied=False).select_for_update(skip_locked=True).order_by(columns[0])
    rows = list(left.only(*columns)[:LIMIT])
    ended.model.objects.filter(pk__in=[row.pk for row in rows]).update(tallied=True)
    return rows
