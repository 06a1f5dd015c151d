"""Looks at the ticks: the evidence that beat sends and that Celery workers take. Nothing is asked of either process.

A tick's row says when it last ran; beat's own row says when it last sent. Fresh rows of both: both live. A stale tick that beat
has sent all the time: no worker takes its queue. Both stale: beat is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from ...conf import bridge_settings
from ...models import Tick as TickRow
from ...schedule.ticks import ENTRY_PREFIX, TICKS, Tick
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

STALE_PERIODS = 3
"""A tick that has not begun for so many periods is not merely late."""

BEAT_SAVES_S = 180
"""django-celery-beat writes "last run at" at least this often (celery.beat.Scheduler.sync_every), not at each sending."""


def check_ticks() -> Iterator[Finding]:
    """One finding for each beat entry."""
    try:
        leases = {row.name: row for row in TickRow.objects.annotate(age=_age("started_at"))}
        rows = {
            row.name: row
            for row in PeriodicTask.objects.filter(name__startswith=ENTRY_PREFIX)
            .select_related("interval")
            .annotate(age=_age("last_run_at"))
        }
        for tick in TICKS:
            yield _tick(tick, lease=leases.get(tick.name), row=rows.get(tick.entry))
    finally:
        connection.close()


def _age(column: str) -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(Now() - F(column), output_field=DurationField())


def _tick(tick: Tick, *, lease: Any, row: Any) -> Finding:
    part = f"tick {tick.name}"
    period_s = tick.period_s(bridge_settings())
    if row is None:
        return failed(part, "It has no beat entry.", fix="Run `manage.py sync_schedule`.")
    if not row.enabled:
        return warning(
            part,
            "Its beat entry is disabled.",
            fix="Enable it in admin, under Periodic tasks, when the reason is gone.",
        )
    age_s = None if lease is None or lease.age is None else lease.age.total_seconds()
    is_fresh = age_s is not None and age_s <= STALE_PERIODS * period_s
    if lease and lease.error_code and is_fresh:
        return failed(
            part,
            f"It meets {lease.error_code}: {lease.error_message}",
            fix="Mend the cause; it goes on by itself then.",
        )
    if row.interval is None or row.interval.schedule.seconds != period_s:
        return failed(
            part,
            f"Beat sends it {row.interval or 'otherwise'}, and the settings say every {period_s:g} s.",
            fix="Restart beat with the settings that the workers have, or run `manage.py sync_schedule`.",
        )
    if age_s is None or not is_fresh:
        since = "It has never run" if age_s is None else f"It last ran {_for_people(age_s)} ago"
        return _stale(part, f"{since}, and should every {period_s:g} s", tick=tick, row=row)
    return ok(part, f"It last ran {_for_people(age_s)} ago.")


def _stale(part: str, why: str, *, tick: Tick, row: Any) -> Finding:
    period_s = tick.period_s(bridge_settings())
    sent_s = None if row.age is None else row.age.total_seconds()
    if sent_s is not None and sent_s <= BEAT_SAVES_S + STALE_PERIODS * period_s:
        return failed(
            part,
            f"{why}; beat sends it.",
            fix=f"Start a Celery worker for its queue: `celery -A project worker -Q {tick.queue}`.",
        )
    return failed(
        part,
        f"{why}; there is no sign that beat sends it.",
        fix=f"Start `celery -A project beat`, and a Celery worker for the queue {tick.queue}.",
    )


def _for_people(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"  # noqa: PLR2004 - two hours
