"""Writes the beat entries of tasks/schedule.py to django-celery-beat's tables: on migrate and by `sync_schedule`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from tasks.conf import bridge_settings
from tasks.schedule import Entry, entries

PREFIX = "batchreel: "
"""Entries whose name begins with this are ours; all others belong to the site and are never touched."""

WITHDRAWN = "No longer in the code; switched off when the schedule was synced."
"""Description of a withdrawn entry: tells our switching off from an operator's. An entry that comes back runs again."""


@dataclass(slots=True)
class SyncReport:
    """What a sync changed, by entry name."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """True where the tables already said what the code says."""
        return not (self.added or self.changed or self.withdrawn)


def sync_entries() -> SyncReport:
    """Make the tables say what the code says. An entry that an operator disabled stays disabled; none is ever deleted.

    Rows that are right are not written, so syncing twice leaves the same rows. Before the tables exist, does nothing.
    """
    report = SyncReport()
    with transaction.atomic():
        if PeriodicTask._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - Django's documented API
            return report
        wanted = {entry.name: entry for entry in entries(bridge_settings())}
        _add_missing(wanted, report)
        for row in PeriodicTask.objects.select_for_update().filter(name__startswith=PREFIX).order_by("name"):
            entry = wanted.get(row.name)
            if entry is None:
                _withdraw(row, report)
            elif row.name not in report.added:
                _update(row, entry, report)
        if not report.is_empty:
            PeriodicTasks.update_changed()
    return report


def _add_missing(wanted: dict[str, Entry], report: SyncReport) -> None:
    present = set(PeriodicTask.objects.filter(name__in=wanted).values_list("name", flat=True))
    missing = [entry for name, entry in wanted.items() if name not in present]
    # Two releases may migrate at the same time: a conflict means that the other one has added the row.
    PeriodicTask.objects.bulk_create(
        [PeriodicTask(name=entry.name, **_columns(entry)) for entry in missing], ignore_conflicts=True
    )
    report.added += [entry.name for entry in missing]


def _update(row: Any, entry: Entry, report: SyncReport) -> None:
    columns = _columns(entry)
    if row.description == WITHDRAWN:
        columns["enabled"] = True
    stale = {name: value for name, value in columns.items() if getattr(row, name) != value}
    if stale:
        PeriodicTask.objects.filter(pk=row.pk).update(**stale)
        report.changed.append(row.name)


def _withdraw(row: Any, report: SyncReport) -> None:
    if row.enabled:
        PeriodicTask.objects.filter(pk=row.pk).update(enabled=False, description=WITHDRAWN)
        report.withdrawn.append(row.name)


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "task": entry.task,
        "queue": entry.queue,
        "interval": _interval(entry.period_s),
        "crontab": None,
        "solar": None,
        "clocked": None,
        "one_off": False,
        "expires": None,
        "expire_seconds": math.ceil(entry.period_s),
        "description": entry.purpose,
    }


def _interval(period_s: float) -> Any:
    """The table's row for this period. It has no unique index, so the oldest of equal rows is taken."""
    if period_s == int(period_s):
        every, unit = int(period_s), IntervalSchedule.SECONDS
    else:
        every, unit = round(period_s * 1_000_000), IntervalSchedule.MICROSECONDS
    found = IntervalSchedule.objects.filter(every=every, period=unit).order_by("pk").first()
    return found or IntervalSchedule.objects.create(every=every, period=unit)
