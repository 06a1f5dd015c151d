"""Reaping: terminates orphans, which are Batch jobs without a live attempt. Bounded in each tick.

`tasks.services.ticks.purge` removes objects and rows.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ...batch.errors import BatchError
from ...batch.port import BatchPort
from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES, TERMINATE_REASON_PREFIX, BatchStatus
from ...lifecycle.states import LIVE_ATTEMPT_STATES
from ...models import Attempt
from ..requests.direct_upload import delete_abandoned_uploads
from . import purge
from .observe import apply_observation

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class ReapSummary:
    """Counts for one run."""

    terminated: int = 0
    pruned: int = 0
    purged_jobs: int = 0
    purged_videos: int = 0


def reap(*, batch: BatchPort) -> ReapSummary:
    """Terminate orphans, then prune and purge.

    Raises BatchError after everything else was done, even if only some of the terminations failed.
    """
    limit = bridge_settings().reap_limit
    summary = ReapSummary()
    failure: BatchError | None = None
    try:
        summary.terminated = reap_batch_jobs(batch=batch, limit=limit)
    except BatchError as error:
        failure = error
    # After the Batch jobs, which cost money while they run: slow storage may use up the remainder of the tick.
    summary.pruned = purge.prune_jobs(limit=limit)
    summary.purged_jobs = purge.purge_superseded(limit=limit)
    delete_abandoned_uploads(limit=limit)
    summary.purged_videos = purge.purge_deleted(limit=limit)
    if failure:
        raise failure
    return summary


def reap_batch_jobs(*, batch: BatchPort, limit: int) -> int:
    """Terminate Batch jobs without a live attempt, and return their number.

    Raises BatchError at the end if any could not be terminated.
    """
    reasons = _batch_jobs_of_ended_attempts(batch, limit) | _orphans(batch, limit)
    terminated = 0
    failure: BatchError | None = None
    for batch_job_id, why in reasons.items():
        logger.info("REAP_TERMINATE %s: %s", batch_job_id, why)
        try:
            batch.terminate(batch_job_id, reason=f"{TERMINATE_REASON_PREFIX} {why}")
            terminated += 1
        except BatchError as error:
            # The next one may succeed. All failed ones are retried at the next tick.
            failure = error
    if failure:
        raise failure
    return terminated


def _batch_jobs_of_ended_attempts(batch: BatchPort, limit: int) -> dict[str, str]:
    """Return the Batch jobs that have not ended although their attempts have: id -> reason to terminate it."""
    by_id = {str(attempt.batch_job_id): attempt for attempt in ended_without_final_status()[:limit]}
    reasons = {}
    for seen in batch.describe(list(by_id)):
        attempt = by_id[seen.batch_job_id]
        apply_observation(attempt, seen)
        if seen.status not in FINAL_STATUSES | {BatchStatus.ABSENT}:
            reasons[seen.batch_job_id] = attempt.reason or "the attempt ended"
    return reasons


def ended_without_final_status() -> QuerySet[Attempt]:
    """Return ended attempts whose Batch job has no final status, unless their container is about to exit."""
    return (
        Attempt.objects.filter(
            batch_job_id__isnull=False,
            ended_at__gt=Now() - purge.POLL_ENDED_FOR,
            missing_responses__lt=bridge_settings().missing_responses_limit,
        )
        .exclude(state__in=LIVE_ATTEMPT_STATES)
        .exclude(batch_status__in=FINAL_STATUSES)
        .exclude(_exiting())
        .order_by("ended_at")
    )


def _exiting() -> Q:
    """Match attempts whose container has reported its result but may not have exited yet.

    Terminating the Batch job now would replace AWS's reason, which shows whether the machine was
    reclaimed.
    """
    return Q(
        state__in=["SUCCEEDED", "FAILED"], ended_at__gt=Now() - timedelta(seconds=bridge_settings().succeeded_grace_s)
    )


def _orphans(batch: BatchPort, limit: int) -> dict[str, str]:
    """Return orphans under our name prefix that are older than `orphan_grace_s`: id -> reason to terminate it."""
    conf = bridge_settings()
    # Listed before the rows are read: an attempt is committed before its SubmitJob, so no owner can be missed.
    active = batch.list_active(prefix=f"{conf.job_name_prefix}-")
    ours = re.compile(rf"{re.escape(conf.job_name_prefix)}-[0-9a-f-]{{36}}-[0-9]+")
    active = [each for each in active if ours.fullmatch(each.name)]
    # A single query: between two, a claim could set the id of an attempt that was matched only by name.
    owners = Attempt.objects.filter(
        Q(state__in=LIVE_ATTEMPT_STATES) | _exiting(), batch_job_name__in=[each.name for each in active]
    )
    owned = dict(owners.values_list("batch_job_name", "batch_job_id"))
    old_ms = _database_now_ms() - conf.orphan_grace_s * 1000
    orphans = [
        each.batch_job_id
        for each in active
        if owned.get(each.name, "nobody") not in {None, each.batch_job_id} and each.created_at_ms < old_ms
    ]
    return dict.fromkeys(orphans[:limit], "no live attempt has this Batch job")


def _database_now_ms() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM statement_timestamp()) * 1000")
        return float(cursor.fetchone()[0])
