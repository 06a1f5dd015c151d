"""Tick leases: one row per beat task keeps it single despite any number of beats, workers and redeliveries."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import override

from ...batch.errors import BatchError
from ...conf import bridge_settings
from ...models import Tick
from ..state.tick_gaps import continuous_since
from ..state.transition import append_event

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickLease:
    """The lease of one tick: its number, and since when ticks have run without a gap."""

    name: str
    number: int
    continuous_since: datetime


def run_tick(name: str, *, period_s: float, body: Callable[[TickLease], None]) -> bool:
    """Run `body` as the next tick of this name, and return True.

    Return False if a tick is running or the last one started less than half a period ago. A
    BatchError ends the tick and is stored as its error, with an event when it first occurs but none
    while it lasts. Any other error is stored as well and raised again; its log line raises an alarm.
    """
    try:
        lease = take_lease(name, period_s=period_s)
    except Exception as error:
        logger.error("TICK_FAILED %s: %s: %s", name, type(error).__name__, error)  # noqa: TRY400 - Celery logs the traceback
        raise
    if lease is None:
        return False
    try:
        # What a tick writes to rows and to the log is in English, whatever LANGUAGE_CODE is.
        with override(None):
            body(lease)
    except BatchError as error:
        logger.warning("TICK_AWS_ERROR %s: %s", name, error)
        _release(lease, error_code=error.code, text=str(error))
    except Exception as error:
        logger.error("TICK_FAILED %s: %s: %s", name, type(error).__name__, error)  # noqa: TRY400 - see below
        # Celery logs the traceback. Release the lease, so that the next tick need not wait for it to expire.
        with suppress(DatabaseError):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            _release(lease, error_code="TICK_FAILED", text=f"{type(error).__name__}: {error}")
        raise
    else:
        _release(lease)
    return True


@transaction.atomic
def take_lease(name: str, *, period_s: float) -> TickLease | None:
    """Lease the next tick. Return None if another one holds the lease or has just started."""
    Tick.objects.bulk_create([Tick(name=name)], ignore_conflicts=True)
    free = Q(leased_until=None) | Q(leased_until__lt=Now())
    due = Q(started_at=None) | Q(started_at__lte=Now() - timedelta(seconds=period_s / 2))
    tick = Tick.objects.select_for_update(skip_locked=True).filter(free, due, name=name).first()
    if tick is None:
        return None
    if tick.leased_until is not None:
        logger.error("TICK_FAILED %s: its last run never ended: it hung, or its worker was killed", name)
    is_continuous = continuous_since(name, period_s=period_s) is not None
    mine = Tick.objects.filter(name=name)
    mine.update(
        fence=tick.fence + 1,
        started_at=Now(),
        leased_until=Now() + timedelta(seconds=bridge_settings().tick_lease_s),
        # A lease that was never released is that of a worker that was killed.
        failures=tick.failures + int(tick.leased_until is not None),
    )
    if not is_continuous:
        mine.update(continuous_since=Now())
    tick.refresh_from_db()
    if tick.continuous_since is None:
        message = f"tick {name} has no start"
        raise RuntimeError(message)
    return TickLease(name=name, number=tick.fence, continuous_since=tick.continuous_since)


@transaction.atomic
def _release(lease: TickLease, *, error_code: str = "", text: str = "") -> None:
    mine = Tick.objects.select_for_update().filter(name=lease.name, fence=lease.number).first()
    if mine is None:
        return
    if error_code and mine.error_code != error_code:
        append_event("tick.failed", text=f"{lease.name}: {text}")
    if mine.error_code and not error_code:
        append_event("tick.recovered", text=f"{lease.name}: {mine.error_code} no longer occurs")
    mine.leased_until, mine.error_code, mine.error_message = None, error_code, text
    mine.save(update_fields=["leased_until", "error_code", "error_message"])
    ended = {"failures": F("failures") + 1} if error_code else {"succeeded_at": Now()}
    Tick.objects.filter(pk=mine.pk).update(finished_at=Now(), **ended)
