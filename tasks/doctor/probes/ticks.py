"""Tick checks: evidence from database and broker that beat sends and that Celery workers consume.

Neither process is contacted. A tick's row contains the time of its last run, beat's row the time it
last sent the message, which beat writes only every 3 minutes. Both fresh: both processes run. Tick
stale, beat fresh: no worker consumes its queue. Both stale: beat is down, unless messages that have
not expired wait in the queue. Without django-celery-beat's scheduler, only ticks have rows.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...models import Tick as TickRow
from ...schedule.beat import uses_database_scheduler
from ...schedule.ticks import ENTRY_PREFIX, STALE_PERIODS, TICKS, Tick
from ..finding import failed, ok, warning
from .broker import celery_command, waiting_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..finding import Finding
    from .broker import WaitingTask

    Waiting = Callable[[], Mapping[str, WaitingTask]]

BEAT_SYNC_S = 180
"""Maximum number of seconds between two writes of "last run at" by django-celery-beat.

It does not write on every message; the interval is celery.beat.Scheduler.sync_every.
"""


def check_ticks() -> Iterator[Finding]:
    """Yield one finding for each beat entry."""
    try:
        leases = {row.name: row for row in TickRow.objects.annotate(age=_age("started_at"))}
        rows = _beat_rows() if uses_database_scheduler() else None
        waiting = cache(waiting_tasks)  # read once, and only if a tick is stale
        for tick in TICKS:
            lease = leases.get(tick.name)
            if rows is None:
                yield _run(tick, lease=lease, waiting=waiting)
            else:
                yield _tick(tick, lease=lease, row=rows.get(tick.entry), waiting=waiting)
    finally:
        connection.close()


def _beat_rows() -> dict[str, Any]:
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 - needs the app, which is optional

    entries = PeriodicTask.objects.filter(name__startswith=ENTRY_PREFIX).select_related("interval")
    return {row.name: row for row in entries.annotate(age=_age("last_run_at"))}


def _age(column: str) -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(Now() - F(column), output_field=DurationField())


def _tick(tick: Tick, *, lease: Any, row: Any, waiting: Waiting) -> Finding:
    part = f"tick {tick.name}"
    period_s = tick.period_s(bridge_settings())
    if row is None:
        return failed(part, "There is no beat entry for it.", fix="Run `manage.py sync_schedule`.")
    if not row.enabled:
        return warning(
            part,
            "Its beat entry is disabled.",
            fix="Enable it in the admin, under Periodic tasks, once the reason no longer applies.",
        )
    if row.interval is None or row.interval.schedule.seconds != period_s:
        wrong = failed(
            part,
            f"Beat sends it {row.interval or 'on another schedule'}, but the settings require every {period_s:g} s.",
            fix="Restart beat with the same settings as the workers, or run `manage.py sync_schedule`.",
        )
        return _error(tick, lease) or wrong
    return _run(tick, lease=lease, row=row, waiting=waiting)


def _run(tick: Tick, *, lease: Any, waiting: Waiting, row: Any = None) -> Finding:
    """Return the finding about a tick's last run; `row` is beat's, if beat has rows."""
    if error := _error(tick, lease):
        return error
    part, age_s, period_s = f"tick {tick.name}", _age_s(lease), tick.period_s(bridge_settings())
    if age_s is None or age_s > STALE_PERIODS * period_s:
        since = "It has never run" if age_s is None else f"It last ran {_readable(age_s)} ago"
        return _stale(
            part, f"{since}, but should run every {period_s:g} s", tick=tick, row=row, waiting=waiting().get(tick.task)
        )
    return ok(part, f"It last ran {_readable(age_s)} ago.")


def _error(tick: Tick, lease: Any) -> Finding | None:
    """Return the error of a tick that ran lately."""
    age_s = _age_s(lease)
    if not lease or not lease.error_code or age_s is None:
        return None
    if age_s > STALE_PERIODS * tick.period_s(bridge_settings()):
        return None
    return failed(
        f"tick {tick.name}",
        f"It fails with {lease.error_code}: {lease.error_message}",
        fix="Fix the cause. The tick then recovers by itself.",
    )


def _age_s(lease: Any) -> float | None:
    return None if lease is None or lease.age is None else float(lease.age.total_seconds())


def _stale(part: str, why: str, *, tick: Tick, row: Any, waiting: WaitingTask | None) -> Finding:
    period_s = tick.period_s(bridge_settings())
    sent_s = None if row is None or row.age is None else row.age.total_seconds()
    is_sent = sent_s is not None and sent_s <= BEAT_SYNC_S + STALE_PERIODS * period_s
    queued = f"{waiting.messages} of its messages wait in the queue {tick.queue}" if waiting else ""
    worker = f"a Celery worker for its queue: `{celery_command()} worker -Q {tick.queue}`"
    if is_sent or (waiting and waiting.is_fresh):
        sign = f"Beat sends it: {queued}" if queued else "Beat sends it"
        return failed(part, f"{why}. {sign}, so no worker seems to consume it.", fix=f"Start {worker}.")
    if queued:
        return failed(
            part,
            f"{why}. {queued}, but none of the last {period_s:g} s: no worker consumes them, and beat has stopped.",
            fix=f"Start `{celery_command()} beat`, and {worker}.",
        )
    return failed(
        part,
        f"{why}. There is no sign that beat sends it.",
        fix=f"Start `{celery_command()} beat`, and a Celery worker for the queue {tick.queue}.",
    )


def _readable(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"  # noqa: PLR2004 - two hours
