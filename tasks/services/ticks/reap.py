"""Reaping: ending what nobody owns. Batch jobs here; objects and rows in `tasks.services.ticks.purge`. Bounded in each tick."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ...batch.errors import BatchError
from ...batch.port import TERMINATE_REASON, BatchPort
from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES, BatchStatus
from ...lifecycle.states import LIVE_ATTEMPT_STATES
from ...models import Attempt
from ..requests.direct_upload import give_up_old_uploads
from . import purge
from .observe import apply_observation

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class ReapSummary:
    """What one run did (counts)."""

    terminated: int = 0
    pruned: int = 0
    purged_jobs: int = 0
    purged_videos: int = 0


def reap(*, batch: BatchPort) -> ReapSummary:
    """End what nobody owns. Raises BatchError after having done all that it could, also where only some of the terminates failed."""
    limit = bridge_settings().reap_limit
    summary = ReapSummary()
    failure: BatchError | None = None
    try:
        summary.terminated = reap_batch_jobs(batch=batch, limit=limit)
    except BatchError as error:
        failure = error
    # After the Batch jobs, which cost money while they run: a slow storage may take the rest of the tick.
    summary.pruned = purge.prune_jobs(limit=limit)
    summary.purged_jobs = purge.purge_superseded(limit=limit)
    give_up_old_uploads(limit=limit)
    summary.purged_videos = purge.purge_deleted(limit=limit)
    if failure:
        raise failure
    return summary


def reap_batch_jobs(*, batch: BatchPort, limit: int) -> int:
    """Terminate the Batch jobs that nobody owns. Returns how many. Raises BatchError at the end, if one could not be terminated."""
    unowned = _batch_jobs_of_ended_attempts(batch, limit) | _orphans(batch, limit)
    terminated = 0
    failure: BatchError | None = None
    for batch_job_id, why in unowned.items():
        logger.info("REAP_TERMINATE %s: %s", batch_job_id, why)
        try:
            batch.terminate(batch_job_id, reason=f"{TERMINATE_REASON} {why}")
            terminated += 1
        except BatchError as error:
            # The next one may be another matter; all of them are tried again at the next tick.
            failure = error
    if failure:
        raise failure
    return terminated


def _batch_jobs_of_ended_attempts(batch: BatchPort, limit: int) -> dict[str, str]:
    """The Batch jobs of attempts that have ended by our rows, until AWS says that they have ended: id -> why it is terminated."""
    by_id = {str(attempt.batch_job_id): attempt for attempt in still_in_batch()[:limit]}
    unowned = {}
    for seen in batch.describe(list(by_id)):
        attempt = by_id[seen.batch_job_id]
        apply_observation(attempt, seen)
        if seen.status not in FINAL_STATUSES | {BatchStatus.ABSENT}:
            unowned[seen.batch_job_id] = attempt.reason or "the attempt ended"
    return unowned


def still_in_batch() -> QuerySet[Attempt]:
    """Attempts that have ended by our rows, and not by AWS's last word. A container that says it is done gets time to leave."""
    return (
        Attempt.objects.filter(
            batch_job_id__isnull=False,
            ended_at__gt=Now() - purge.STILL_POLLED,
            missing_answers__lt=bridge_settings().missing_answers_limit,
        )
        .exclude(state__in=LIVE_ATTEMPT_STATES)
        .exclude(batch_status__in=FINAL_STATUSES)
        .exclude(_leaving())
        .order_by("ended_at")
    )


def _leaving() -> Q:
    """Attempts whose container has said how it ended, and may not have come to its exit yet.

    Ending its Batch job now would put our words in the place of AWS's, which tell whether the machine was reclaimed.
    """
    return Q(
        state__in=["SUCCEEDED", "FAILED"], ended_at__gt=Now() - timedelta(seconds=bridge_settings().succeeded_grace_s)
    )


def _orphans(batch: BatchPort, limit: int) -> dict[str, str]:
    """Batch jobs under our name prefix that no live attempt has, older than the settle window: id -> why it is terminated."""
    conf = bridge_settings()
    # Listed before the rows are read: an attempt is committed before its SubmitJob, so none of them can be missed.
    active = batch.list_active(prefix=f"{conf.job_name_prefix}-")
    ours = re.compile(rf"{re.escape(conf.job_name_prefix)}-[0-9a-f-]{{36}}-[0-9]+")
    active = [each for each in active if ours.fullmatch(each.name)]
    # One query: between two, a claim could fill in the id of an attempt that was awaited by its name.
    owners = Attempt.objects.filter(
        Q(state__in=LIVE_ATTEMPT_STATES) | _leaving(), batch_job_name__in=[each.name for each in active]
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
