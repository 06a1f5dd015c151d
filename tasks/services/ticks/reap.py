"""Reaping: terminates Batch jobs whose attempts have ended, then orphans, which no attempt has.

What the rows contain comes first. Orphans are found by listing the queue, and each tick lists only a
few pages: a long queue takes several ticks, and `Tick.position` is where the next one continues.

A Batch job may keep running although it was terminated: if a zone is lost, AWS reports its Batch jobs as
RUNNING for a long time. Terminating them again takes only part of a tick, the ones that were never
terminated come first, and the listing continues after the last orphan that was.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from ...batch.errors import BatchError, BatchRejectedError
from ...batch.port import DESCRIBE_LIMIT_IDS, TERMINATE_LIMIT_IDS, BatchPort, ListedJob
from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES, TERMINATE_REASON_PREFIX, BatchStatus
from ...lifecycle.reasons import HELD
from ...lifecycle.states import LIVE_ATTEMPT_STATES
from ...models import Attempt, Tick
from ...schedule.ticks import REAP
from ..state.in_batch import batch_job_is_over
from ..state.observation import apply_observation
from .observe import describe

logger = logging.getLogger(__name__)

POLL_ENDED_FOR = timedelta(days=1)
"""How long the Batch job of an ended attempt is polled. AWS keeps ended Batch jobs for longer than that."""

_REPEAT_SHARE = 0.5
"""Share of a tick's limits after which no Batch job is terminated again: the remainder is for orphans."""


def reap(*, batch: BatchPort) -> int:
    """Terminate as many Batch jobs as a tick has time for, and return their number.

    Raises BatchError at the end if a call failed.
    """
    conf = bridge_settings()
    run = _Run(batch=batch, limit=conf.reap_limit, started_s=time.monotonic(), time_limit_s=conf.reap_time_limit_s)
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
    run = _Run(batch=batch, limit=limit, started_s=time.monotonic(), time_limit_s=math.inf)
    run.terminate_ended()
    run.terminate_orphans(position="", pages=math.inf)
    if run.failure:
        raise run.failure
    return run.terminated


_AFTER = "\n"
"""Between a position of the listing and the last orphan that was terminated on that page."""


def _joined(page_position: str, last_id: str) -> str:
    return f"{page_position}{_AFTER}{last_id}" if last_id else page_position


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run: at most `limit` terminations of each kind, and none after `time_limit_s` from its start.

    `failure` is the error of the last failed call. Others may succeed, and every tick tries again.
    """

    batch: BatchPort
    limit: int
    started_s: float
    time_limit_s: float
    terminated: int = 0
    called_for: set[str] = field(default_factory=set)
    failure: BatchError | None = None

    def terminate_ended(self) -> None:
        """Terminate the Batch jobs that have not ended although their attempts have."""
        attempts = list(ended_without_final_status()[: bridge_settings().describe_limit_ids])
        self._terminate_ended([each for each in attempts if each.terminate_called_at is None])
        self._terminate_ended([each for each in attempts if each.terminate_called_at], share=_REPEAT_SHARE)

    def _terminate_ended(self, attempts: list[Attempt], *, share: float = 1) -> None:
        """Poll all of these, and terminate the ones that have not ended, within this share of the limits."""
        left = max(1, int(share * self.limit))
        for first in range(0, len(attempts), DESCRIBE_LIMIT_IDS):
            running: defaultdict[str, list[str]] = defaultdict(list)
            try:
                page = attempts[first : first + DESCRIBE_LIMIT_IDS]
                for attempt, seen in describe(page, batch=self.batch, stop_at_s=self._stop_at_s(share)):
                    apply_observation(attempt, seen)
                    if seen.status not in FINAL_STATUSES | {BatchStatus.ABSENT}:
                        running[attempt.reason or "the attempt ended"].append(seen.batch_job_id)
            except BatchError as error:
                self.failure = error
                return
            for why, batch_job_ids in running.items():
                left -= len(self._terminate(batch_job_ids[:left], why, share=share))

    def terminate_orphans(self, *, position: str, pages: float) -> str:
        """Terminate the orphans on the next pages of the queue's listing. Return where to continue.

        A page on which the limits were reached is listed again, and continued after the last orphan that
        was terminated: it may be listed for long.
        """
        left = self.limit
        page_position, _, last_id = position.partition(_AFTER)
        while pages > 0 and not self._is_late():
            try:
                # Listed before the rows are read: an attempt is committed before its SubmitJob, so no owner is missed.
                page = self.batch.list_active(position=page_position)
            except BatchError as error:
                self.failure = error
                break
            self.failure = page.error or self.failure
            orphans = [each for each in sorted(_orphans(page.jobs)) if each > last_id and each not in self.called_for]
            called = self._terminate(orphans[:left], "no live attempt has this Batch job")
            left -= len(called)
            if len(called) < len(orphans):
                return _joined(page_position, called[-1] if called else last_id)
            pages -= 1
            page_position, last_id = page.next_position, ""
            if not page_position:
                break
        return _joined(page_position, last_id)

    def _terminate(self, batch_job_ids: Sequence[str], why: str, *, share: float = 1) -> list[str]:
        """Terminate these while there is time, and return those for which a call was made."""
        called = []
        reason = f"{TERMINATE_REASON_PREFIX} {why}"
        is_late = partial(self._is_late, share)
        for batch_job_id, error in terminate_each(batch_job_ids, batch=self.batch, reason=reason, is_late=is_late):
            logger.info("REAP_TERMINATE %s: %s", batch_job_id, why)
            called.append(batch_job_id)
            self.terminated += error is None
            self.failure = error or self.failure
        self.called_for |= set(called)
        return called

    def _is_late(self, share: float = 1) -> bool:
        return time.monotonic() > self._stop_at_s(share)

    def _stop_at_s(self, share: float) -> float:
        return self.started_s + share * self.time_limit_s


def terminate_each(
    batch_job_ids: Sequence[str], *, batch: BatchPort, reason: str, is_late: Callable[[], bool] = bool
) -> Iterator[tuple[str, BatchError | None]]:
    """Terminate Batch jobs, several with each call, and yield each with its error if it failed.

    No call starts once `is_late` returns True. If AWS or boto3 rejects a call for several, as one that
    is older than TerminateJobs does, each gets a call of its own.
    """
    limit_ids, remaining = TERMINATE_LIMIT_IDS, list(batch_job_ids)
    while remaining and not is_late():
        page = remaining[:limit_ids]
        # Written first, so that a Batch job whose call always fails does not stay in front of the others.
        Attempt.objects.filter(batch_job_id__in=page).update(terminate_called_at=Now())
        errors: dict[str, BatchError] = {}
        try:
            if len(page) == 1:
                batch.terminate(page[0], reason=reason)
            else:
                errors = batch.terminate_many(page, reason=reason)
        except BatchError as error:
            if isinstance(error, BatchRejectedError) and len(page) > 1:
                limit_ids = 1
                continue
            errors = dict.fromkeys(page, error)
        remaining = remaining[len(page) :]
        yield from ((each, errors.get(each)) for each in page)


def ended_without_final_status() -> QuerySet[Attempt]:
    """Return ended attempts whose Batch job has no final status, unless their container is about to exit.

    Those that were never terminated come first, then those whose last TerminateJob is longest ago.
    """
    return (
        Attempt.objects.filter(
            batch_job_id__isnull=False,
            ended_at__gt=Now() - POLL_ENDED_FOR,
        )
        .exclude(state__in=LIVE_ATTEMPT_STATES)
        .exclude(batch_job_is_over())
        .exclude(_exiting())
        .order_by(F("terminate_called_at").asc(nulls_first=True), "ended_at")
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
