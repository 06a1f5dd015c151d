"""Doctor: how it looks, and what its looks conclude from several signs. Planted faults are in test_doctor_faults.py."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django_celery_beat.models import PeriodicTask

from tasks.doctor.database import look_at_database
from tasks.doctor.examine import Probe, examine
from tasks.doctor.finding import Condition, Finding, well
from tasks.doctor.jobs import look_at_jobs
from tasks.doctor.storage import look_at_storage
from tasks.doctor.ticks import look_at_ticks
from tasks.models import Job, Tick
from tasks.services.request import request_by_person
from tasks.services.tick import run_tick
from tests.services.making import age, uploaded_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_django import Settings

WELL, WARNING, UNWELL, UNKNOWN = Condition.WELL, Condition.WARNING, Condition.UNWELL, Condition.UNKNOWN


def found(look: Callable[[], Iterable[Finding]]) -> dict[str, Finding]:
    """The findings of one look by part, taken as doctor takes them: in a thread with a connection of its own."""
    findings = examine([Probe("the look", look)])
    assert all(finding.mend for finding in findings if finding.condition is not WELL)
    return {finding.part: finding for finding in findings}


def run_all_ticks() -> None:
    for name in ("submit", "observe", "rescue", "reap"):
        assert run_tick(name, period_s=1, body=lambda _: None)


class TestExamine:
    def test_other_findings_are_shown_when_one_look_raises(self) -> None:
        def broken() -> Iterable[Finding]:
            yield well("before", "It was seen.")
            message = "two\nlines"
            raise ValueError(message)

        findings = examine([Probe("broken", broken), Probe("sound", lambda: [well("sound", "It is.")])])
        assert [(each.part, each.condition) for each in findings] == [
            ("before", WELL),
            ("broken", UNKNOWN),
            ("sound", WELL),
        ]
        assert "two lines" in findings[1].why

    def test_nobody_waits_when_a_look_hangs(self) -> None:
        forever = threading.Event()

        def hanging() -> Iterable[Finding]:
            forever.wait()
            return []

        findings = examine([Probe("hanging", hanging), Probe("sound", lambda: [well("sound", "It is.")])], deadline_s=2)
        forever.set()
        assert [(each.part, each.condition) for each in findings] == [("hanging", UNKNOWN), ("sound", WELL)]


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    def test_database_is_well_when_it_answers_and_is_migrated(self) -> None:
        assert {part: each.condition for part, each in found(look_at_database).items()} == {
            "database": WELL,
            "row locks": WELL,
            "clock": WELL,
            "migrations": WELL,
        }

    def test_database_is_unwell_and_rows_unknown_when_it_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(django_settings.DATABASES["default"], "PORT", 1)
        assert found(look_at_database)["database"].condition is UNWELL
        assert found(look_at_ticks)["the look"].condition is UNKNOWN
        assert found(look_at_jobs)["the look"].condition is UNKNOWN


@pytest.mark.django_db(transaction=True)
class TestTicks:
    def test_ticks_are_well_when_each_ran_lately(self) -> None:
        run_all_ticks()
        assert {each.condition for each in found(look_at_ticks).values()} == {WELL}
        assert set(found(look_at_ticks)) == {"tick submit", "tick observe", "tick rescue", "tick reap"}

    def test_beat_is_suspected_when_it_stopped_sending(self) -> None:
        run_all_ticks()
        age(Tick, "started_at", seconds=46)
        conditions = {part: each.condition for part, each in found(look_at_ticks).items()}
        assert conditions == {"tick submit": UNWELL, "tick observe": UNWELL, "tick rescue": WELL, "tick reap": WELL}
        assert "no sign that beat" in found(look_at_ticks)["tick submit"].why

    def test_celery_workers_are_suspected_when_beat_still_sends(self) -> None:
        run_all_ticks()
        PeriodicTask.objects.filter(name="batchreel: submit").update(
            last_run_at=Tick.objects.get(name="submit").started_at
        )
        age(Tick, "started_at", seconds=46)
        finding = found(look_at_ticks)["tick submit"]
        assert "beat sends it" in finding.why
        assert "worker -Q submit" in finding.mend


class TestStorage:
    def test_storage_is_well_and_clean_when_it_can_be_written(self, settings: Settings) -> None:
        assert found(look_at_storage)["storage"].condition is WELL
        assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []

    def test_local_folder_is_a_warning_when_containers_run_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert "STORAGE_BUCKET" in found(look_at_storage)["storage"].mend


@pytest.mark.django_db(transaction=True)
def test_dead_job_is_no_longer_told_of_when_its_video_has_a_newer_one() -> None:
    video = uploaded_video()
    Job.objects.update(state="DEAD", next_attempt_at=None, reason="BUDGET_SPENT")
    assert "1 DEAD" in _finding("jobs").why
    request_by_person(video_id=video.pk)
    assert _finding("jobs").condition is Condition.WELL


def _finding(part: str) -> Finding:
    return next(each for each in look_at_jobs() if each.part == part)
