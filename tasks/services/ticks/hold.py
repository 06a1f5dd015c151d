"""Holding fire: many containers that are silent at once, while AWS Batch reports them as RUNNING, are not dead.

Their way to the database is broken: a security group, a route, a pooler, a full connection limit.
They keep working and retry for `database_retry_s`, so ending them would lose work for nothing. While
a break lasts, rescue spares them, for as long as they retry and one more threshold. Operators get an
event and a log line. An attempt that is given up after it was held is not counted.

A machine that AWS lost is not affected: AWS Batch reports its Batch jobs as FAILED.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.connection_break import is_break
from ...lifecycle.observation import BatchStatus
from ...lifecycle.states import AttemptState
from ...models import Attempt
from ..state.transition import append_event

logger = logging.getLogger(__name__)

EVENT = "containers.cut_off"


def hold_fire() -> int:
    """Hold the silent containers if there is a break, and return their number."""
    silent = cut_off()
    if not silent:
        return 0
    was_held = Attempt.objects.filter(pk__in=silent).filter(held()).exists()
    # Repeated under the UPDATE's own lock: a heartbeat may have arrived.
    count = _silent().filter(pk__in=silent).update(held_at=Now())
    running = _running().count()
    if not was_held:
        append_event(EVENT, text=f"{count} of {running} running containers are silent, but AWS Batch reports RUNNING.")
    logger.error("CONTAINERS_CUT_OFF", extra={"silent": count, "running": running})
    return count


def cut_off() -> list[int]:
    """Return the ids of silent attempts that a break explains; none unless there is a break. Writes nothing."""
    conf = bridge_settings()
    silent = list(_silent())
    since = [_silent_since(each) for each in silent]
    if not is_break(
        since,
        running=_running().count(),
        is_held=_silent().filter(held()).exists(),
        share=conf.break_share,
        at_least=conf.break_min_containers,
        within_s=conf.silence_threshold_s,
    ):
        return []
    return [each.pk for each in silent]


def held() -> Q:
    """Match attempts that were held since their last heartbeat."""
    return Q(held_at__isnull=False) & (Q(heartbeat_at=None) | Q(held_at__gt=F("heartbeat_at")))


def held_attempts() -> QuerySet[Attempt]:
    """Return the running attempts that are held now."""
    recently = Now() - timedelta(seconds=bridge_settings().silence_threshold_s)
    return _running().filter(held(), held_at__gt=recently)


def not_held_for(seconds: float) -> Q:
    """Match attempts that have not been held for this long, or never."""
    before: Any = Now() - timedelta(seconds=seconds)
    return Q(held_at=None) | Q(held_at__lt=before)


def _running() -> QuerySet[Attempt]:
    """Return the live attempts that AWS Batch reports as RUNNING."""
    return Attempt.objects.filter(
        state__in=[AttemptState.SUBMITTED, AttemptState.RUNNING],
        batch_status=BatchStatus.RUNNING,
        missing_responses=0,
    )


def _silent() -> QuerySet[Attempt]:
    """Return those of them that are silent, or have not claimed their attempt in time, but may still be retrying."""
    conf = bridge_settings()
    retrying_s = conf.database_retry_s + conf.silence_threshold_s

    def between(column: str, least_s: float) -> Q:
        newest, oldest = Now() - timedelta(seconds=least_s), Now() - timedelta(seconds=least_s + retrying_s)
        return Q(**{f"{column}__lt": newest, f"{column}__gt": oldest})

    claimed = Q(state=AttemptState.RUNNING) & between("heartbeat_at", conf.silence_threshold_s)
    unclaimed = Q(state=AttemptState.SUBMITTED) & between("batch_status_at", conf.start_timeout_s)
    return _running().filter(claimed | unclaimed)


def _silent_since(attempt: Attempt) -> datetime:
    conf = bridge_settings()
    if attempt.state == AttemptState.RUNNING:
        return _known(attempt.heartbeat_at) + timedelta(seconds=conf.silence_threshold_s)
    return _known(attempt.batch_status_at) + timedelta(seconds=conf.start_timeout_s)


def _known(at: datetime | None) -> datetime:
    if at is None:
        message = "a silent attempt has a heartbeat or an observation"
        raise RuntimeError(message)
    return at
