"""Doctor: how it looks, and what its looks conclude from several signs. Planted faults are in test_doctor_faults.py."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django_celery_beat.models import PeriodicTask

from tasks.doctor.finding import Finding, Status, ok
from tasks.doctor.probes.database import check_database
from tasks.doctor.probes.jobs import check_jobs
from tasks.doctor.probes.storage import check_storage
from tasks.doctor.probes.ticks import check_ticks
from tasks.doctor.runner import Probe, run_probes
from tasks.models import Job, Tick
from tasks.services.requests.request import request_by_person
from tasks.services.ticks.lease import run_tick
from tests.factories import age, uploaded_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_django import Settings

OK, WARNING, FAILED, UNKNOWN = Status.OK, Status.WARNING, Status.FAILED, Status.UNKNOWN


def found(check: Callable[[], Iterable[Finding]]) -> dict[str, Finding]:
    """The findings of one check by part, taken as doctor takes them: in a thread with a connection of its own."""
    findings = run_probes([Probe("the check", check)])
    assert all(finding.fix for finding in findings if finding.status is not OK)
    return {finding.part: finding for finding in findings}


def run_all_ticks() -> None:
    for name in ("submit", "observe", "rescue", "reap"):
        assert run_tick(name, period_s=1, body=lambda _: None)


class TestExamine:
    def test_other_findings_are_shown_when_one_look_raises(self) -> None:
        def broken() -> Iterable[Finding]:
            yield ok("before", "It was seen.")
            message = "two\nlines"
            raise ValueError(message)

        findings = run_probes([Probe("broken", broken), Probe("sound", lambda: [ok("sound", "It is.")])])
        assert [(each.part, each.status) for each in findings] == [
            ("before", OK),
            ("broken", UNKNOWN),
            ("sound", OK),
        ]
        assert "two lines" in findings[1].why

    def test_nobody_waits_when_a_look_hangs(self) -> None:
        forever = threading.Event()

        def hanging() -> Iterable[Finding]:
            forever.wait()
            return []

        findings = run_probes(
            [Probe("hanging", hanging), Probe("sound", lambda: [ok("sound", "It is.")])], deadline_s=2
        )
        forever.set()
        assert [(each.part, each.status) for each in findings] == [("hanging", UNKNOWN), ("sound", OK)]


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    def test_database_is_well_when_it_answers_and_is_migrated(self) -> None:
        assert {part: each.status for part, each in found(check_database).items()} == {
            "database": OK,
            "row locks": OK,
            "clock": OK,
            "migrations": OK,
        }

    def test_database_is_failed_and_rows_unknown_when_it_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(django_settings.DATABASES["default"], "PORT", 1)
        assert found(check_database)["database"].status is FAILED
        assert found(check_ticks)["the check"].status is UNKNOWN
        assert found(check_jobs)["the check"].status is UNKNOWN


@pytest.mark.django_db(transaction=True)
class TestTicks:
    def test_ticks_are_well_when_each_ran_lately(self) -> None:
        run_all_ticks()
        assert {each.status for each in found(check_ticks).values()} == {OK}
        assert set(found(check_ticks)) == {"tick submit", "tick observe", "tick rescue", "tick reap"}

    def test_beat_is_suspected_when_it_stopped_sending(self) -> None:
        run_all_ticks()
        age(Tick, "started_at", seconds=46)
        conditions = {part: each.status for part, each in found(check_ticks).items()}
        assert conditions == {"tick submit": FAILED, "tick observe": FAILED, "tick rescue": OK, "tick reap": OK}
        assert "no sign that beat" in found(check_ticks)["tick submit"].why

    def test_celery_workers_are_suspected_when_beat_still_sends(self) -> None:
        run_all_ticks()
        PeriodicTask.objects.filter(name="batchreel: submit").update(
            last_run_at=Tick.objects.get(name="submit").started_at
        )
        age(Tick, "started_at", seconds=46)
        finding = found(check_ticks)["tick submit"]
        assert "beat sends it" in finding.why
        assert "worker -Q submit" in finding.fix


class TestStorage:
    def test_storage_is_well_and_clean_when_it_can_be_written(self, settings: Settings) -> None:
        assert found(check_storage)["storage"].status is OK
        assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []

    def test_local_folder_is_a_warning_when_containers_run_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert "STORAGE_BUCKET" in found(check_storage)["storage"].fix


@pytest.mark.django_db(transaction=True)
def test_dead_job_is_no_longer_told_of_when_its_video_has_a_newer_one() -> None:
    video = uploaded_video()
    Job.objects.update(state="DEAD", next_attempt_at=None, reason="ATTEMPTS_EXHAUSTED")
    assert "1 DEAD" in _finding("jobs").why
    request_by_person(video_id=video.pk)
    assert _finding("jobs").status is Status.OK


def _finding(part: str) -> Finding:
    return next(each for each in check_jobs() if each.part == part)
