"""Writes the beat entries of tasks/schedule/ticks.py to django-celery-beat's tables.

Runs on migrate, when beat starts, and with `manage.py sync_schedule`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from ..conf import bridge_settings
from .ticks import ENTRY_PREFIX, TICKS, Tick

WITHDRAWN_DESCRIPTION = "No longer in the code; switched off when the schedule was synced."
"""Description of a withdrawn entry, which distinguishes it from one that an operator disabled.

If the code defines the entry again, it is enabled again.
"""


@dataclass(slots=True)
class SyncReport:
    """Names of the entries that a sync changed."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Return True if the tables already matched the code."""
        return not (self.added or self.changed or self.withdrawn)


def sync_entries() -> SyncReport:
    """Update the tables to match the code.

    An entry that an operator disabled stays disabled; none is ever deleted.

    Idempotent: rows that match are not written. Does nothing before the tables exist.
    """
    report = SyncReport()
    with transaction.atomic():
        if PeriodicTask._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - Django's documented API
            return report
        wanted = {tick.entry: tick for tick in TICKS}
        _add_missing(wanted, report)
        for row in PeriodicTask.objects.select_for_update().filter(name__startswith=ENTRY_PREFIX).order_by("name"):
            tick = wanted.get(row.name)
            if tick is None:
                _withdraw(row, report)
            elif row.name not in report.added:
                _update(row, tick, report)
        if not report.is_empty:
            PeriodicTasks.update_changed()
    return report


def _add_missing(wanted: dict[str, Tick], report: SyncReport) -> None:
    present = set(PeriodicTask.objects.filter(name__in=wanted).values_list("name", flat=True))
    missing = [tick for name, tick in wanted.items() if name not in present]
    # Two releases may migrate at the same time. A conflict means that the other one has added the
    # row.
    PeriodicTask.objects.bulk_create(
        [PeriodicTask(name=tick.entry, **_columns(tick)) for tick in missing], ignore_conflicts=True
    )
    report.added += [tick.entry for tick in missing]


def _update(row: Any, tick: Tick, report: SyncReport) -> None:
    columns = _columns(tick)
    if row.description == WITHDRAWN_DESCRIPTION:
        columns["enabled"] = True
    stale = {name: value for name, value in columns.items() if getattr(row, name) != value}
    if stale:
        PeriodicTask.objects.filter(pk=row.pk).update(**stale)
        report.changed.append(row.name)


def _withdraw(row: Any, report: SyncReport) -> None:
    if row.enabled:
        PeriodicTask.objects.filter(pk=row.pk).update(enabled=False, description=WITHDRAWN_DESCRIPTION)
        report.withdrawn.append(row.name)


def _columns(tick: Tick) -> dict[str, Any]:
    period_s = tick.period_s(bridge_settings())
    return {
        "task": tick.task,
        "queue": tick.queue,
        "interval": _interval(period_s),
        "crontab": None,
        "solar": None,
        "clocked": None,
        "one_off": False,
        "expires": None,
        "expire_seconds": math.ceil(period_s),
        "description": tick.purpose,
    }


def _interval(period_s: float) -> Any:
    """Return the row for this period.

    The table has no unique index, so the oldest of equal rows is used.
    """
    if period_s == int(period_s):
        every, unit = int(period_s), IntervalSchedule.SECONDS
    else:
        every, unit = round(period_s * 1_000_000), IntervalSchedule.MICROSECONDS
    found = IntervalSchedule.objects.filter(every=every, period=unit).order_by("pk").first()
    return found or IntervalSchedule.objects.create(every=every, period=unit)
