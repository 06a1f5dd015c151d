"""Doctor: how it runs checks, and what they conclude. Injected faults: test_doctor_faults.py."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django_celery_beat.models import PeriodicTask

from tasks.batch.errors import BatchDeniedError
from tasks.doctor.finding import Finding, Status, ok
from tasks.doctor.probes.database import check_database
from tasks.doctor.probes.jobs import check_jobs
from tasks.doctor.probes.storage import check_storage
from tasks.doctor.probes.ticks import check_ticks
from tasks.doctor.runner import Probe, run_probes
from tasks.models import GrantCounter, Job, Tick
from tasks.schedule.ticks import TICKS
from tasks.services.requests.request import request_again
from tasks.services.ticks.grant import read_queues
from tasks.services.ticks.lease import run_tick
from tests.factories import ScriptedBatch, age, uploaded_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_django import Settings

OK, WARNING, FAILED, UNKNOWN = Status.OK, Status.WARNING, Status.FAILED, Status.UNKNOWN


def found(check: Callable[[], Iterable[Finding]]) -> dict[str, Finding]:
    """Run one check as doctor does, in a thread with its own connection; return its findings by part."""
    findings = run_probes([Probe("the check", check)])
    assert all(finding.fix for finding in findings if finding.status is not OK)
    return {finding.part: finding for finding in findings}


def run_all_ticks() -> None:
    for tick in TICKS:
        assert run_tick(tick.name, period_s=1, body=lambda _: None)


class TestExamine:
    def test_doctor_shows_other_findings_when_one_check_raises(self) -> None:
        def broken() -> Iterable[Finding]:
            yield ok("before", "It was checked.")
            message = "two\nlines"
            raise ValueError(message)

        findings = run_probes([Probe("broken", broken), Probe("healthy", lambda: [ok("healthy", "It is.")])])
        assert [(each.part, each.status) for each in findings] == [
            ("before", OK),
            ("broken", UNKNOWN),
            ("healthy", OK),
        ]
        assert "two lines" in findings[1].why

    def test_doctor_does_not_wait_when_a_check_hangs(self) -> None:
        forever = threading.Event()

        def hanging() -> Iterable[Finding]:
            forever.wait()
            return []

        findings = run_probes(
            [Probe("hanging", hanging), Probe("healthy", lambda: [ok("healthy", "It is.")])], deadline_s=2
        )
        forever.set()
        assert [(each.part, each.status) for each in findings] == [("hanging", UNKNOWN), ("healthy", OK)]


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    def test_database_check_is_ok_when_it_responds_and_is_migrated(self) -> None:
        assert {part: each.status for part, each in found(check_database).items()} == {
            "database": OK,
            "row locks": OK,
            "clock": OK,
            "migrations": OK,
        }

    def test_database_check_fails_when_it_is_unreachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(django_settings.DATABASES["default"], "PORT", 1)
        assert found(check_database)["database"].status is FAILED
        assert found(check_ticks)["the check"].status is UNKNOWN
        assert found(check_jobs)["the check"].status is UNKNOWN


@pytest.mark.django_db(transaction=True)
class TestTicks:
    def test_tick_check_is_ok_when_each_tick_ran_recently(self) -> None:
        run_all_ticks()
        assert {each.status for each in found(check_ticks).values()} == {OK}
        assert set(found(check_ticks)) == {f"tick {tick.name}" for tick in TICKS}

    def test_tick_check_suspects_beat_when_it_stopped_sending(self) -> None:
        run_all_ticks()
        age(Tick, "started_at", seconds=46)
        statuses = {part: each.status for part, each in found(check_ticks).items()}
        stale = {"tick submit", "tick observe", "tick deliver"}
        assert statuses == {f"tick {tick.name}": FAILED if f"tick {tick.name}" in stale else OK for tick in TICKS}
        assert "no sign that beat" in found(check_ticks)["tick submit"].why

    def test_tick_check_suspects_celery_workers_when_beat_still_sends(self) -> None:
        run_all_ticks()
        PeriodicTask.objects.filter(name="batchreel: submit").update(
            last_run_at=Tick.objects.get(name="submit").started_at
        )
        age(Tick, "started_at", seconds=46)
        finding = found(check_ticks)["tick submit"]
        assert "Beat sends it" in finding.why
        assert "worker -Q batchreel.submit" in finding.fix


class TestStorage:
    def test_storage_check_is_ok_and_leaves_no_file_when_it_is_writable(self, settings: Settings) -> None:
        assert found(check_storage)["storage"].status is OK
        assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []

    def test_storage_check_warns_of_a_local_folder_when_containers_are_remote(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert "STORAGE_BUCKET" in found(check_storage)["storage"].fix


@pytest.mark.django_db(transaction=True)
def test_dead_job_is_not_reported_when_its_video_has_a_newer_job() -> None:
    video = uploaded_video()
    Job.objects.update(state="DEAD", next_attempt_at=None, reason="ATTEMPTS_EXHAUSTED")
    assert "1 DEAD" in _finding("jobs").why
    request_again(video_id=video.pk)
    assert _finding("jobs").status is Status.OK


@pytest.mark.django_db(transaction=True)
def test_limit_is_a_warning_when_the_queue_could_never_be_read(batch: ScriptedBatch) -> None:
    assert _finding("attempts in Batch").status is Status.OK
    batch.describe_error = BatchDeniedError("AccessDenied")
    read_queues(batch=batch)
    assert "batch:DescribeJobQueues" in _finding("attempts in Batch").fix
    GrantCounter.objects.update(queue_vcpus=64)
    assert "At most 64" in _finding("attempts in Batch").why


def _finding(part: str) -> Finding:
    return next(each for each in check_jobs() if each.part == part)
