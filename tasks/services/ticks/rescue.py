"""Rescue: replaces containers that send no heartbeat, make no progress, or never claim their attempt.

Silence is measured from the later of the last heartbeat and the start of the unbroken run of this
tick. An outage of the site's own database, workers or beat is therefore never mistaken for dead
containers: after it, every container has the full threshold to send a heartbeat. A break between
the containers and the database is recognised by their number (`ticks.hold`). `attempt_end` explains
which of the rescued attempts count.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet, Value
from django.db.models.functions import Now
from django.db.models.lookups import GreaterThan

from ...batch.errors import BatchError
from ...batch.port import BatchPort
from ...conf import BridgeSettings, bridge_settings
from ...lifecycle.observation import TERMINATE_REASON_PREFIX, BatchStatus
from ...lifecycle.reasons import Reason
from ...lifecycle.states import AttemptEvent, AttemptState
from ...models import Attempt
from ..state.attempt_end import end_attempt
from ..state.locking import lock_job
from ..state.observation import apply_observation
from ..state.transition import append_event
from .hold import held, hold_fire, not_held_for
from .observe import describe
from .reap import terminate_each

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RescueSummary:
    """Counts of attempts for one run."""

    suspects: int = 0
    held: int = 0
    rescued: int = 0
    terminate_failures: int = 0


def rescue(
    *,
    batch: BatchPort,
    continuous_since: datetime,
    limit: int | None = None,
    only_job: uuid.UUID | None = None,
    spared: Collection[int] | None = None,
) -> RescueSummary:
    """Replace containers that are silent, stalled or late to start: at most `limit`, by default `rescue_limit`.

    All of them are polled. Then each is fenced (ended in its row) if it still is a suspect under the row
    locks, and only the Batch jobs of those that were fenced are terminated: a container whose heartbeat
    arrives in the meantime is not touched. After `rescue_api_time_limit_s` there are no more calls to AWS;
    the reap tick terminates the remaining ones. `only_job` restricts the run to one job; `spared` are the
    attempts that the caller found to be cut off, instead of holding them here.
    """
    summary = RescueSummary()
    limit = limit or bridge_settings().rescue_limit
    no_calls_after_s = time.monotonic() + bridge_settings().rescue_api_time_limit_s
    to_replace = suspects(continuous_since).exclude(pk__in=spared or [])
    if only_job is not None:
        to_replace = to_replace.filter(job=only_job)
    found = list(to_replace.order_by("heartbeat_at")[:limit])
    summary.suspects = len(found)
    _observe(found, batch=batch, stop_at_s=no_calls_after_s)
    if spared is None:
        summary.held = hold_fire()
    # Without those that returned or are held. `_fence` makes certain of it.
    remaining = set(suspects(continuous_since).filter(pk__in=[each.pk for each in found]).values_list("pk", flat=True))
    fenced = [each for each in found if each.pk in remaining and _fence(each, continuous_since)]
    summary.rescued = len(fenced)
    summary.terminate_failures = _terminate(fenced, batch=batch, no_calls_after_s=no_calls_after_s)
    return summary


def suspects(continuous_since: datetime) -> QuerySet[Attempt]:
    """Return the attempts that are silent, stalled or late to start."""
    return Attempt.objects.filter(_suspect(continuous_since))


def _suspect(continuous_since: datetime) -> Q:
    """Match attempts to be declared dead. `_fence` applies this predicate again under the row locks."""
    conf = bridge_settings()
    running = Q(state=AttemptState.RUNNING) & (_silent(conf, continuous_since) | _stalled(conf, continuous_since))
    return running | _start_timed_out(conf, continuous_since)


def _silent(conf: BridgeSettings, continuous_since: datetime) -> Q:
    deadline: Any = Now() - timedelta(seconds=conf.silence_threshold_s)
    silent = Q(heartbeat_at__lt=deadline) & not_held_for(conf.silence_threshold_s)
    return silent & _watched_for(continuous_since, conf.silence_threshold_s)


def _stalled(conf: BridgeSettings, continuous_since: datetime) -> Q:
    stalled = Q(pk__in=[])
    for stage, limit_s in conf.stage_limits_s.items():
        deadline: Any = Now() - timedelta(seconds=limit_s)
        late = Q(stage=stage, progressed_at__lt=deadline) & not_held_for(limit_s)
        stalled |= late & _watched_for(continuous_since, limit_s)
    return stalled


def _start_timed_out(conf: BridgeSettings, continuous_since: datetime) -> Q:
    """Match attempts whose Batch job has been STARTING or RUNNING for too long without a claim."""
    deadline: Any = Now() - timedelta(seconds=conf.start_timeout_s)
    begun = [BatchStatus.STARTING.value, BatchStatus.RUNNING.value]
    unclaimed = Q(state=AttemptState.SUBMITTED, batch_status__in=begun, batch_status_at__lt=deadline)
    return unclaimed & not_held_for(conf.silence_threshold_s) & _watched_for(continuous_since, conf.start_timeout_s)


def _watched_for(continuous_since: datetime, threshold_s: float) -> Q:
    """Match if this tick has run without a gap for longer than the threshold, by the database's clock."""
    watched: Any = ExpressionWrapper(
        GreaterThan(Now() - timedelta(seconds=threshold_s), Value(continuous_since)), output_field=BooleanField()
    )
    return Q(watched)


def _observe(attempts: list[Attempt], *, batch: BatchPort, stop_at_s: float) -> None:
    known = [attempt for attempt in attempts if attempt.batch_job_id is not None]
    try:
        for attempt, seen in describe(known, batch=batch, stop_at_s=stop_at_s):
            apply_observation(attempt, seen)
    except BatchError as error:
        logger.warning("RESCUE_OBSERVE_FAILED %s", error)


def _terminate(fenced: list[Attempt], *, batch: BatchPort, no_calls_after_s: float) -> int:
    """Terminate the Batch jobs of these attempts, and return how many failed."""
    known = {str(attempt.batch_job_id): attempt for attempt in fenced if attempt.batch_job_id is not None}
    failures = 0
    for batch_job_id, error in terminate_each(
        list(known),
        batch=batch,
        reason=f"{TERMINATE_REASON_PREFIX} no start, no heartbeat, or no progress",
        is_late=lambda: time.monotonic() > no_calls_after_s,
    ):
        if error is not None:
            failures += 1
            attempt = known[batch_job_id]
            logger.warning("RESCUE_TERMINATE_FAILED %s: %s", attempt, error)
            append_event("rescue.terminate_failed", job=attempt.job, attempt_number=attempt.number, text=str(error))
    return failures


@transaction.atomic
def _fence(attempt: Attempt, continuous_since: datetime) -> bool:
    job = lock_job(attempt.job_id)
    # The attempt's own row too: heartbeats do not take the job's lock, and one that arrives now must not be lost.
    current = Attempt.objects.select_for_update(of=("self",)).filter(_suspect(continuous_since), pk=attempt.pk).first()
    if current is None:
        return False
    current.job = job
    reason = _reason(current, continuous_since)
    stage = f" Stage: {current.stage}." if current.stage else ""
    end_attempt(current, AttemptEvent.LOSE, reason=reason, text=f"{reason.message}{stage}")
    return True


def _reason(attempt: Attempt, continuous_since: datetime) -> Reason:
    if Attempt.objects.filter(held(), pk=attempt.pk).exists():
        return Reason.CONNECTION_LOST
    if attempt.state != AttemptState.RUNNING:
        return Reason.START_TIMEOUT
    silent = Attempt.objects.filter(_silent(bridge_settings(), continuous_since), pk=attempt.pk).exists()
    return Reason.HEARTBEAT_TIMEOUT if silent else Reason.STALLED
