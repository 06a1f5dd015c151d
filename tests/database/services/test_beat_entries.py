"""The beat entries in the database match the code, except for what an operator has disabled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery.signals import beat_init
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import OperationalError
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from tasks.conf import bridge_settings
from tasks.schedule import sync as beat
from tasks.schedule.ticks import ENTRY_PREFIX, TICKS, Tick

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def rows() -> list[dict[str, Any]]:
    return list(PeriodicTask.objects.order_by("pk").values())


def row(name: str) -> Any:
    return PeriodicTask.objects.get(name=name)


def test_beat_entries_have_rows_when_migrations_have_run() -> None:
    periods_s = {tick.entry: tick.period_s(bridge_settings()) for tick in TICKS}
    wanted = {(tick.entry, tick.task, tick.queue, periods_s[tick.entry], periods_s[tick.entry]) for tick in TICKS}
    ours = PeriodicTask.objects.filter(name__startswith=ENTRY_PREFIX, enabled=True)
    assert {(r.name, r.task, r.queue, r.interval.every, r.expire_seconds) for r in ours} == wanted
    assert {r.interval.period for r in ours} == {"seconds"}


def test_beat_entries_do_not_change_when_migrating_twice() -> None:
    before, intervals = rows(), IntervalSchedule.objects.count()
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)
    assert (rows(), IntervalSchedule.objects.count()) == (before, intervals)


def test_beat_reloads_the_schedule_only_when_an_entry_changed(settings: Settings) -> None:
    last_change = PeriodicTasks.last_change()
    assert beat.sync_entries().is_empty
    assert PeriodicTasks.last_change() == last_change
    settings.BATCHREEL = {"reap_tick_s": 45}
    assert beat.sync_entries().changed == ["batchreel: reap"]
    assert PeriodicTasks.last_change() != last_change


def test_beat_entries_have_the_periods_of_the_settings_when_beat_starts(settings: Settings) -> None:
    settings.BATCHREEL = {"reap_tick_s": 45}
    beat_init.send(sender=None)
    assert row("batchreel: reap").interval.every == 45


def test_beat_starts_when_the_database_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        message = "connection refused"
        raise OperationalError(message)

    monkeypatch.setattr(beat, "sync_entries", refuse)
    (_, result), *_ = [each for each in beat_init.send(sender=None) if each[0].__module__ == "tasks.receivers"]
    assert result is None
    assert "SCHEDULE_NOT_WRITTEN connection refused" in caplog.text


def test_beat_entry_stays_disabled_when_an_operator_disabled_it() -> None:
    PeriodicTask.objects.filter(name="batchreel: reap").update(enabled=False)
    beat.sync_entries()
    assert not row("batchreel: reap").enabled


def test_beat_entry_is_corrected_when_it_was_edited_by_hand(settings: Settings) -> None:
    del settings.BATCHREEL
    daily = IntervalSchedule.objects.create(every=1, period="days")
    PeriodicTask.objects.filter(name="batchreel: submit").update(interval=daily, expire_seconds=None, queue="typo")
    assert [message.id for message in run_checks(tags=["database"], databases=["default"])] == ["batchreel.W028"]
    assert beat.sync_entries().changed == ["batchreel: submit"]
    fixed = row("batchreel: submit")
    assert (fixed.interval.every, fixed.expire_seconds, fixed.queue) == (15, 15, "batchreel.submit")
    assert run_checks(tags=["database"], databases=["default"]) == []


def test_beat_entry_is_disabled_and_kept_when_the_code_drops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    withdrawn = TICKS[0].entry
    monkeypatch.setattr(beat, "TICKS", TICKS[1:])
    assert beat.sync_entries().withdrawn == [withdrawn]
    assert not row(withdrawn).enabled
    assert beat.sync_entries().is_empty
    monkeypatch.undo()
    assert beat.sync_entries().changed == [withdrawn]
    assert row(withdrawn).enabled


def test_beat_entries_of_the_site_do_not_change_when_syncing() -> None:
    interval = IntervalSchedule.objects.create(every=7, period="days")
    PeriodicTask.objects.create(name="the site's own", task="site.task", interval=interval)
    before = rows()
    beat.sync_entries()
    assert rows() == before


@pytest.mark.parametrize(
    ("period_s", "every", "unit"), [(2, 2, "seconds"), (2.0, 2, "seconds"), (0.5, 500_000, "microseconds")]
)
def test_beat_period_is_exact_when_it_is_a_fraction_of_a_second(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, period_s: float, every: int, unit: str
) -> None:
    settings.BATCHREEL = {"reap_tick_s": period_s}
    quick = Tick(name="quick", queue="batchreel.maintain", period_setting="reap_tick_s", purpose="A test.")
    monkeypatch.setattr(beat, "TICKS", (quick,))
    beat.sync_entries()
    entry = row(quick.entry)
    assert (entry.interval.every, entry.interval.period, entry.expire_seconds) == (every, unit, max(1, int(period_s)))


def test_sync_schedule_reports_changes_when_a_period_changes(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    call_command("sync_schedule")
    settings.BATCHREEL = {"reap_tick_s": 45}
    call_command("sync_schedule")
    assert capsys.readouterr().out.splitlines() == [
        "The schedule already matches the code; nothing changed.",
        "changed: batchreel: reap",
    ]
