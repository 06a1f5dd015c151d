"""Reaping: terminates Batch jobs whose attempts have ended, then orphans, which no attempt has.

What the rows contain comes first. Orphans are found by listing the queue, and each tick lists only a
few pages: a long queue takes several ticks, and `Tick.position` is where the next one continues.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ...batch.errors import BatchError
from ...batch.port import DESCRIBE_LIMIT_IDS, BatchPort, ListedJob
from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES, TERMINATE_REASON_PREFIX, BatchStatus
from ...lifecycle.reasons import HELD
from ...lifecycle.states import LIVE_ATTEMPT_STATES
from ...models import Attempt, Tick
from ...schedule.ticks import REAP
from .observe import apply_observation

logger = logging.getLogger(__name__)

POLL_ENDED_FOR = timedelta(days=1)
"""How long the Batch job of an ended attempt is polled. AWS keeps ended Batch jobs for longer than that."""


def reap(*, batch: BatchPort) -> int:
    """Terminate as many Batch jobs as a tick has time for, and return their number.

    Raises BatchError at the end if a call failed.
    """
    conf = bridge_settings()
    run = _Run(batch=batch, limit=conf.reap_limit, stop_at_s=time.monotonic() + conf.reap_time_limit_s)
    run.terminate_ended()
    row = Tick.objects.filter(name=REAP.name)
    before = row.values_list("position", flat=True).first() or ""
    after = run.terminate_orphans(position=before, pages=conf.list_limit_pages)
    if after != before:
        row.update(position=after)
    if run.failure:
        raise run.failure
    return run.terminated


def reap_batch_jobs(*, batch: BatchPort, limit: int) -> int:
    """Terminate Batch jobs without a live attempt, in the whole queue, and return their number.

    Raises BatchError at the end if a call failed.
    """
    run = _Run(batch=batch, limit=limit, stop_at_s=math.inf)
    run.terminate_ended()
    run.terminate_orphans(position="", pages=math.inf)
    if run.failure:
        raise run.failure
    return run.terminated


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run: at most `limit` terminations of each kind, and none after `stop_at_s`.

    `failure` is the error of the last failed call. Others may succeed, and every tick tries again.
    """

    batch: BatchPort
    limit: int
    stop_at_s: float
    terminated: int = 0
    called_for: set[str] = field(default_factory=set)
    failure: BatchError | None = None

    def terminate_ended(self) -> None:
        """Terminate the Batch jobs that have not ended although their attempts have."""
        left = self.limit
        attempts = list(ended_without_final_status()[: bridge_settings().describe_limit_ids])
        for first in range(0, len(attempts), DESCRIBE_LIMIT_IDS):
            by_id = {str(attempt.batch_job_id): attempt for attempt in attempts[first : first + DESCRIBE_LIMIT_IDS]}
            try:
                observations = self.batch.describe(list(by_id))
            except BatchError as error:
                self.failure = error
                return
            for seen in observations:
                attempt = by_id[seen.batch_job_id]
                apply_observation(attempt, seen)
                if seen.status in FINAL_STATUSES | {BatchStatus.ABSENT}:
                    continue
                if not left or self._is_late():
                    return
                self._terminate(seen.batch_job_id, attempt.reason or "the attempt ended")
                left -= 1

    def terminate_orphans(self, *, position: str, pages: float) -> str:
        """Terminate the orphans on the next pages of the queue's listing. Return where to continue.

        A page on which the limits were reached is listed again.
        """
        left = self.limit
        while pages > 0 and not self._is_late():
            try:
                # Listed before the rows are read: an attempt is committed before its SubmitJob, so no owner is missed.
                page = self.batch.list_active(position=position)
            except BatchError as error:
                self.failure = error
                return position
            for batch_job_id in _orphans(page.jobs):
                if batch_job_id in self.called_for:
                    continue
                if not left or self._is_late():
                    return position
                self._terminate(batch_job_id, "no live attempt has this Batch job")
                left -= 1
            pages -= 1
            position = page.next_position
            if not position:
                break
        return position

    def _terminate(self, batch_job_id: str, why: str) -> None:
        logger.info("REAP_TERMINATE %s: %s", batch_job_id, why)
        self.called_for.add(batch_job_id)
        try:
            self.batch.terminate(batch_job_id, reason=f"{TERMINATE_REASON_PREFIX} {why}")
            self.terminated += 1
        except BatchError as error:
            self.failure = error

    def _is_late(self) -> bool:
        return time.monotonic() > self.stop_at_s


def ended_without_final_status() -> QuerySet[Attempt]:
    """Return ended attempts whose Batch job has no final status, unless their container is about to exit."""
    return (
        Attempt.objects.filter(
            batch_job_id__isnull=False,
            ended_at__gt=Now() - POLL_ENDED_FOR,
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
    reclaimed, or free the place that the container keeps on a machine at fault.
    """
    conf = bridge_settings()
    exiting = Q(state__in=["SUCCEEDED", "FAILED"], ended_at__gt=Now() - timedelta(seconds=conf.succeeded_grace_s))
    held_for = timedelta(seconds=conf.machine_hold_s + conf.succeeded_grace_s)
    # Only a suspicion has a code, whatever its reason.
    is_held = Q(reason__in=HELD) | ~Q(error_code="")
    return exiting | is_held & Q(state="FAILED", ended_at__gt=Now() - held_for)


def _orphans(listed: Iterable[ListedJob]) -> list[str]:
    """Return the ids of the orphans under our name prefix that are older than `orphan_grace_s`."""
    conf = bridge_settings()
    ours = re.compile(rf"{re.escape(conf.job_name_prefix)}-[0-9a-f-]{{36}}-[0-9]+")
    active = [each for each in listed if ours.fullmatch(each.name)]
    # A single query: between two, a claim could set the id of an attempt that was matched only by name.
    owners = Attempt.objects.filter(
        Q(state__in=LIVE_ATTEMPT_STATES) | _exiting(), batch_job_name__in=[each.name for each in active]
    )
    owned = dict(owners.values_list("batch_job_name", "batch_job_id"))
    old_ms = _database_now_ms() - conf.orphan_grace_s * 1000
    return [
        each.batch_job_id
        for each in active
        if owned.get(each.name, "nobody") not in {None, each.batch_job_id} and each.created_at_ms < old_ms
    ]


def _database_now_ms() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM statement_timestamp()) * 1000")
        return float(cursor.fetchone()[0])
