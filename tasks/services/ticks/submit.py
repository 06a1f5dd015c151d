"""Submitting: each attempt that was granted gets one SubmitJob that takes effect.

SubmitJob has no idempotency token. The order is therefore: commit the attempt with its number and
the Batch job's name, call SubmitJob once, record the id. After a crash or a lost response in
between, the submission is ambiguous, and `tasks.services.ticks.ambiguous` looks the Batch job up by
name.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from ...batch import definition
from ...batch.errors import BatchAmbiguousError, BatchError, BatchRejectedError, BatchThrottledError
from ...batch.port import BatchPort, Submission
from ...conf import bridge_settings
from ...lifecycle.errors import NotFoundError
from ...lifecycle.observation import TERMINATE_REASON_PREFIX
from ...lifecycle.states import LIVE_ATTEMPT_STATES, AttemptEvent, AttemptState
from ...models import Attempt
from ...tracing import traced_attempt
from ..state.locking import lock_job, read_attempt
from ..state.transition import transition
from .grant import grant_due
from .scale import grant_helpers

logger = logging.getLogger(__name__)

_AT_A_TIME = 20
"""Attempts that a run takes at a time. While it grants them, other runs grant nothing."""


@dataclass(slots=True, kw_only=True)
class SubmitSummary:
    """Counts for one run, and its last error."""

    submitted: int = 0
    ambiguous: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    """By job queue: a queue that is disabled, missing or denied concerns no other."""
    stopped: set[str] = field(default_factory=set)
    """Queues for which AWS accepts no SubmitJob at the moment, whatever its parameters."""
    error: BatchError | None = None


def submit_due(*, batch: BatchPort) -> SubmitSummary:
    """Submit what is due. Both the tick and the wake-up call this, and may do so concurrently.

    A run takes a few attempts at a time, up to `submit_limit`. An attempt that was taken but not
    submitted, because the run's time is over or too many calls failed, is deferred, since SubmitJob
    was certainly not called for it.
    """
    conf = bridge_settings()
    summary = SubmitSummary()
    deadline_s = time.monotonic() + conf.submit_time_limit_s

    def is_over() -> bool:
        return time.monotonic() > deadline_s or summary.ambiguous >= conf.submit_max_failures

    def is_blocked(queue: str) -> bool:
        return queue in summary.stopped or summary.rejections[queue] >= conf.submit_max_failures

    def blocked_s(queue: str) -> float:
        # Less than the rejected ones, or those would be the first again.
        return _wait_s(summary.error) if queue in summary.stopped else conf.rejected_submit_wait_s / 2

    left = conf.submit_limit
    while left > 0 and (taken := take_due(limit=left)):
        left -= len(taken)
        for attempt in taken:
            queue = _queue_of(attempt)
            if is_over():
                defer_submission(attempt, wait_s=0)
            elif is_blocked(queue):
                defer_submission(attempt, wait_s=blocked_s(queue))
            else:
                _submit(attempt, queue=queue, batch=batch, summary=summary)
        if is_over() or all(is_blocked(queue) for queue in conf.queues):
            break
    return summary


def take_due(*, limit: int) -> list[Attempt]:
    """Return attempts that only this caller may submit now: leads first, of each kind deferred ones before new ones.

    A job without any container comes first; helpers get what is left.
    """
    wanted = min(limit, _AT_A_TIME)
    attempts = _take_deferred(limit=wanted, helpers=False)
    examined = 0
    # A job that gets no attempt, because its attempts are exhausted, must not displace another one.
    while len(attempts) < wanted and examined < limit:
        summary = grant_due(limit=wanted - len(attempts))
        if not summary.examined:
            break
        examined += summary.examined
        attempts += summary.attempts
    if len(attempts) < wanted:
        attempts += _take_helpers(limit=wanted - len(attempts))
    return attempts


def _take_helpers(*, limit: int) -> list[Attempt]:
    deferred = _take_deferred(limit=limit, helpers=True)
    if len(deferred) == limit:
        return deferred
    try:
        return deferred + grant_helpers(limit=limit - len(deferred))
    except DatabaseError:
        # The attempts that were taken before must be submitted, or their submissions would be ambiguous.
        logger.exception("HELP_FAILED")
        return deferred


def _deferred() -> Any:
    return Attempt.objects.filter(state=AttemptState.SUBMITTING, submit_at__lte=Now())


@transaction.atomic
def _take_deferred(*, limit: int, helpers: bool) -> list[Attempt]:
    due = _deferred().filter(helps__isnull=not helpers)
    chosen = list(due.select_for_update(skip_locked=True, of=("self",)).order_by("submit_at")[:limit])
    if not chosen:
        return []
    Attempt.objects.filter(pk__in=[each.pk for each in chosen]).update(submit_at=None, submit_called_at=Now())
    taken = {each.pk: each for each in Attempt.objects.filter(pk__in=[c.pk for c in chosen]).select_related("job")}
    return [taken[each.pk] for each in chosen]


@traced_attempt("batchreel.submit")
def _submit(attempt: Attempt, *, queue: str, batch: BatchPort, summary: SubmitSummary) -> None:
    job_id = str(attempt.job_id)
    try:
        batch_job_id = batch.submit(
            Submission(
                name=attempt.batch_job_name,
                queue=queue,
                parameters=definition.parameters(job_id=job_id, attempt=attempt.number),
                environment=definition.environment(job_id=job_id, attempt=attempt.number),
                tags=definition.tags(video_id=str(attempt.job.video_id), job_id=job_id),
                vcpus=attempt.vcpus,
                memory_mib=attempt.memory_mib,
                timeout_s=attempt.timeout_s,
            )
        )
    except BatchAmbiguousError as error:
        logger.warning("BATCH_SUBMIT_AMBIGUOUS %s: %s", attempt.batch_job_name, error)
        summary.ambiguous += 1
        summary.error = error
    except BatchError as error:
        logger.warning("BATCH_SUBMIT_FAILED %s: %s", attempt.batch_job_name, error)
        defer_submission(attempt, wait_s=_wait_s(error))
        summary.rejections[queue] += 1
        # A rejection concerns this request only; a throttle or a denial applies to all of them.
        if not isinstance(error, BatchRejectedError):
            summary.stopped.add(queue)
        summary.error = error
    else:
        extra = {"job_id": job_id, "attempt": attempt.number, "batch_job_id": batch_job_id}
        logger.info("BATCH_SUBMIT %s %s", attempt.batch_job_name, batch_job_id, extra=extra)
        summary.submitted += 1
        record_submitted(attempt, batch_job_id=batch_job_id, batch=batch)


def _queue_of(attempt: Attempt) -> str:
    return bridge_settings().queue_of(is_helper=attempt.is_helper, on_demand=attempt.on_demand)


def _wait_s(failure: BatchError | None) -> float:
    conf = bridge_settings()
    return conf.throttled_submit_wait_s if isinstance(failure, BatchThrottledError) else conf.rejected_submit_wait_s


def defer_submission(attempt: Attempt, *, wait_s: float) -> None:
    """Submit the same attempt again, under the same name, after a wait: the call certainly had no effect."""
    waiting = Attempt.objects.filter(pk=attempt.pk, state=AttemptState.SUBMITTING, batch_job_id=None)
    waiting.update(submit_at=Now() + timedelta(seconds=wait_s), lookup_misses=0, lookup_at=None)


def record_submitted(attempt: Attempt, *, batch_job_id: str, batch: BatchPort) -> None:
    """Record the Batch job's id if it is still NULL.

    If the attempt has ended in the meantime or has another Batch job, terminate this one immediately.
    """
    try:
        recorded = record_batch_job(attempt, batch_job_id)
    except NotFoundError:  # its video was deleted, and purged
        recorded = False
    if not recorded:
        terminate_orphan(batch_job_id, batch=batch, why="the attempt ended, or has another Batch job")


def terminate_orphan(batch_job_id: str, *, batch: BatchPort, why: str) -> None:
    """Terminate an orphan. Raises no BatchError: if it fails, the reap tick finds the orphan and retries."""
    try:
        batch.terminate(batch_job_id, reason=f"{TERMINATE_REASON_PREFIX} {why}")
    except BatchError as error:
        logger.warning("ORPHAN_TERMINATE_FAILED %s: %s", batch_job_id, error)


@transaction.atomic
def record_batch_job(attempt: Attempt, batch_job_id: str) -> bool:
    """Record the Batch job's id if it is still NULL. Return whether the attempt is live and this is its Batch job.

    Raises NotFoundError.
    """
    job = lock_job(attempt.job_id)
    current = read_attempt(job, attempt.number)
    if current.state == AttemptState.SUBMITTING and current.batch_job_id is None:
        transition(current, AttemptEvent.SUBMIT, text=batch_job_id, batch_job_id=batch_job_id, submit_at=None)
        return True
    if current.batch_job_id is None:
        # Ended before the id was known: store it, so that the reap tick can retry the termination.
        Attempt.objects.filter(pk=current.pk, batch_job_id=None).filter(~Q(state__in=LIVE_ATTEMPT_STATES)).update(
            batch_job_id=batch_job_id
        )
        return False
    return current.batch_job_id == batch_job_id and current.state in LIVE_ATTEMPT_STATES
