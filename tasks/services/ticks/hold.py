"""Holding fire: many containers that are silent at once, while AWS Batch reports them as RUNNING, are not dead.

Their way to the database is broken: a security group, a route, a pooler, a full connection limit.
They keep working and retry for `database_retry_s`, so ending them would lose work for nothing. While
a break lasts, rescue spares them, for as long as they retry and one more threshold. Operators get an
event and a log line. An attempt that is given up after it was held is not counted.

A break silences all of its containers at once, but each one sent its last heartbeat at another moment,
and crosses the threshold that much later. So as soon as one is silent, those that are almost silent
count, and are held, as well: a tick in between never replaces the first of them.

A machine that AWS lost is not affected: AWS Batch reports its Batch jobs as FAILED. Nor is one machine
that hangs with all of its containers, while those of others send heartbeats.
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

_SPREAD_HEARTBEATS = 2
"""Number of heartbeats within which the last ones of all containers were sent before a break: they are up
to one apart, and the second allows for slow ones. A threshold is at least four (a system check)."""


def hold_fire() -> int:
    """Hold the containers that are cut off if there is a break, and return their number."""
    silent = cut_off()
    if not silent:
        return 0
    was_held = Attempt.objects.filter(pk__in=silent).filter(held()).exists()
    # Repeated under the UPDATE's own lock: a heartbeat may have arrived.
    count = _almost_silent().filter(pk__in=silent).update(held_at=Now())
    running = _known_running().count()
    if not was_held:
        append_event(EVENT, text=f"{count} of {running} running containers are silent, but AWS Batch reports RUNNING.")
    logger.error("CONTAINERS_CUT_OFF", extra={"silent": count, "running": running})
    return count


def cut_off() -> list[int]:
    """Return the ids of attempts that a break keeps from the database. Writes nothing.

    None unless there is a break, and none while nobody is silent for as long as the threshold.
    """
    conf = bridge_settings()
    if not _silent().exists():
        return []
    silent = list(_almost_silent())
    if _is_one_machine(silent) or not is_break(
        [_silent_since(each) for each in silent],
        running=_known_running().count(),
        is_held=_almost_silent().filter(held()).exists(),
        share=conf.break_share,
        at_least=conf.break_min_containers,
        within_s=conf.silence_threshold_s,
    ):
        return []
    return [each.pk for each in silent]


def _is_one_machine(silent: list[Attempt]) -> bool:
    """Return whether these are containers of one machine, while one of another machine sends heartbeats.

    Those that have not claimed their attempt count for neither side: their machine is unknown.
    """
    machines = {attempt.machine_id for attempt in silent if attempt.state == AttemptState.RUNNING}
    if len(machines) != 1 or "" in machines:
        return False
    lately = Now() - timedelta(seconds=_SPREAD_HEARTBEATS * bridge_settings().heartbeat_s)
    others = _running().exclude(machine_id__in=["", *machines])
    return others.filter(state=AttemptState.RUNNING, heartbeat_at__gt=lately).exists()


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


def _known_running() -> QuerySet[Attempt]:
    """Leave out those that have only just started: they prove neither a way to the database nor a break."""
    just_started = Q(state=AttemptState.SUBMITTED, batch_status_at__gte=Now() - timedelta(seconds=_almost_silent_s()))
    return _running().exclude(just_started)


def _silent() -> QuerySet[Attempt]:
    """Return the running ones that are silent, or have not claimed their attempt in time, but may still be retrying."""
    conf = bridge_settings()
    return _without_sign_of_life(claimed_s=conf.silence_threshold_s, unclaimed_s=conf.start_timeout_s)


def _almost_silent() -> QuerySet[Attempt]:
    """Return these, and the ones that a break may have cut off together with them."""
    return _without_sign_of_life(claimed_s=_almost_silent_s(), unclaimed_s=_almost_silent_s())


def _almost_silent_s() -> float:
    conf = bridge_settings()
    return conf.silence_threshold_s - _SPREAD_HEARTBEATS * conf.heartbeat_s


def _without_sign_of_life(*, claimed_s: float, unclaimed_s: float) -> QuerySet[Attempt]:
    conf = bridge_settings()
    retrying_s = conf.database_retry_s + conf.silence_threshold_s

    def between(column: str, least_s: float, most_s: float) -> Q:
        newest, oldest = Now() - timedelta(seconds=least_s), Now() - timedelta(seconds=most_s)
        return Q(**{f"{column}__lt": newest, f"{column}__gt": oldest})

    claimed = between("heartbeat_at", claimed_s, conf.silence_threshold_s + retrying_s)
    unclaimed = between("batch_status_at", unclaimed_s, conf.start_timeout_s + retrying_s)
    return _running().filter(Q(state=AttemptState.RUNNING) & claimed | Q(state=AttemptState.SUBMITTED) & unclaimed)


def _silent_since(attempt: Attempt) -> datetime:
    last_sign = attempt.heartbeat_at if attempt.state == AttemptState.RUNNING else attempt.batch_status_at
    return _known(last_sign) + timedelta(seconds=bridge_settings().silence_threshold_s)


def _known(at: datetime | None) -> datetime:
    if at is None:
        message = "a silent attempt has a heartbeat or an observation"
        raise RuntimeError(message)
    return at
