"""Doctor: each part well or not, why, and the mend. Real parts, made unwell one at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection
from django_celery_beat.models import PeriodicTask

from tasks.doctor.batch import look_at_definition, look_at_queue
from tasks.doctor.broker import look_at_broker
from tasks.doctor.database import look_at_database
from tasks.doctor.examine import Probe, examine
from tasks.doctor.finding import Condition, Finding, well
from tasks.doctor.jobs import look_at_jobs
from tasks.doctor.media import look_at_ffmpeg
from tasks.doctor.settings import look_at_settings
from tasks.doctor.storage import look_at_storage
from tasks.doctor.ticks import look_at_ticks
from tasks.models import Attempt, Job, Tick
from tasks.services.tick import run_tick
from tests.services.making import age, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

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

        findings = examine(
            [Probe("hanging", hanging), Probe("sound", lambda: [well("sound", "It is.")])], deadline_s=0.2
        )
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

    def test_migrations_are_named_when_one_is_missing(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'batchreel' RETURNING name, applied")
            rows = cursor.fetchall()
        try:
            finding = found(look_at_database)["migrations"]
        finally:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO django_migrations (app, name, applied) VALUES ('batchreel', %s, %s)", rows
                )
        assert finding.condition is UNWELL
        assert "batchreel.0001_initial" in finding.why

    def test_database_is_unwell_and_rows_unknown_when_it_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(django_settings.DATABASES["default"], "PORT", 1)
        assert found(look_at_database)["database"].condition is UNWELL
        assert found(look_at_ticks)["the look"].condition is UNKNOWN
        assert found(look_at_jobs)["the look"].condition is UNKNOWN


class TestBroker:
    def test_broker_is_well_when_redis_answers(self) -> None:
        assert {part: each.condition for part, each in found(look_at_broker).items()} == {
            "broker": WELL,
            "messages": WELL,
        }

    def test_broker_is_unwell_when_redis_is_away(self, settings: Settings) -> None:
        settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
        assert found(look_at_broker)["broker"].condition is UNWELL

    def test_broker_is_unwell_when_redis_may_evict(self) -> None:
        client = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
        before = client.config_get("maxmemory-policy")["maxmemory-policy"]
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            finding = found(look_at_broker)["broker"]
        finally:
            client.config_set("maxmemory-policy", before)
            client.close()
        assert finding.condition is UNWELL
        assert "allkeys-lru" in finding.why

    def test_messages_are_a_warning_when_nobody_takes_them(self, settings: Settings) -> None:
        settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "doctor-test:"}
        client = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
        client.rpush("doctor-test:observe", *range(501))
        try:
            finding = found(look_at_broker)["messages"]
        finally:
            client.delete("doctor-test:observe")
            client.close()
        assert finding.condition is WARNING
        assert "501 in observe" in finding.why


@pytest.mark.django_db(transaction=True)
class TestTicks:
    def test_ticks_are_well_when_each_ran_lately(self) -> None:
        run_all_ticks()
        assert {each.condition for each in found(look_at_ticks).values()} == {WELL}
        assert set(found(look_at_ticks)) == {"tick submit", "tick observe", "tick rescue", "tick reap"}

    def test_tick_is_unwell_when_it_never_ran(self) -> None:
        finding = found(look_at_ticks)["tick submit"]
        assert finding.condition is UNWELL
        assert "celery -A project beat" in finding.mend

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

    def test_trouble_is_shown_when_the_last_tick_met_it(self) -> None:
        run_all_ticks()
        Tick.objects.filter(name="observe").update(trouble="BATCH_DENIED", trouble_text="DescribeJobs: not allowed")
        finding = found(look_at_ticks)["tick observe"]
        assert finding.condition is UNWELL
        assert "DescribeJobs: not allowed" in finding.why

    def test_disabled_entry_is_only_a_warning(self) -> None:
        PeriodicTask.objects.filter(name="batchreel: reap").update(enabled=False)
        assert found(look_at_ticks)["tick reap"].condition is WARNING

    def test_missing_entry_is_unwell(self) -> None:
        PeriodicTask.objects.filter(name="batchreel: reap").delete()
        assert "sync_schedule" in found(look_at_ticks)["tick reap"].mend


class TestStorage:
    def test_storage_is_well_and_clean_when_it_can_be_written(self, settings: Settings) -> None:
        assert found(look_at_storage)["storage"].condition is WELL
        assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []

    def test_storage_is_unwell_when_it_cannot_be_written(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        settings.MEDIA_ROOT = tmp_path / "file"
        assert found(look_at_storage)["storage"].condition is UNWELL

    def test_local_folder_is_a_warning_when_containers_run_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert "STORAGE_BUCKET" in found(look_at_storage)["storage"].mend


class TestBatch:
    def test_queue_and_compute_are_well_when_they_are_enabled_and_valid(self) -> None:
        assert {part: each.condition for part, each in found(look_at_queue).items()} == {"queue": WELL, "compute": WELL}

    @pytest.mark.parametrize("name", ["", "no-such-queue"])
    def test_queue_is_unwell_when_it_does_not_exist(self, settings: Settings, name: str) -> None:
        settings.VIDEO_BATCH_JOB_QUEUE = name
        assert found(look_at_queue)["queue"].condition is UNWELL

    def test_compute_is_unwell_when_a_container_would_never_fit(self, settings: Settings) -> None:
        settings.BATCHREEL = {"vcpus": 10_000}
        finding = found(look_at_queue)["compute"]
        assert finding.condition is UNWELL
        assert "10000" in finding.why

    @pytest.mark.parametrize("name", ["", "no-such-definition"])
    def test_definition_is_unwell_when_it_does_not_exist(self, settings: Settings, name: str) -> None:
        settings.VIDEO_BATCH_JOB_DEFINITION = name
        assert found(look_at_definition)["definition"].condition is UNWELL


@pytest.mark.django_db(transaction=True)
class TestJobs:
    def test_jobs_are_well_when_none_waits(self) -> None:
        uploaded_video()
        assert {each.condition for each in found(look_at_jobs).values()} == {WELL}

    def test_dead_jobs_are_a_warning_that_names_their_reasons(self) -> None:
        uploaded_video()
        Job.objects.update(state="DEAD", next_attempt_at=None, reason="BUDGET_SPENT")
        finding = found(look_at_jobs)["jobs"]
        assert finding.condition is WARNING
        assert "1 DEAD: 1 for BUDGET_SPENT" in finding.why

    def test_due_job_is_unwell_when_nobody_submits_it(self) -> None:
        uploaded_video()
        age(Job, "next_attempt_at", seconds=601)
        finding = found(look_at_jobs)["due jobs"]
        assert finding.condition is UNWELL
        assert str(Job.objects.get().pk) in finding.why

    def test_batchs_own_reason_is_shown_when_an_attempt_does_not_start(self) -> None:
        submitted_attempt()
        reason = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
        Attempt.objects.update(batch_status="RUNNABLE", batch_status_reason=reason)
        age(Attempt, "created_at", seconds=1801)
        finding = found(look_at_jobs)["starting"]
        assert finding.condition is WARNING
        assert reason in finding.why


def test_settings_are_named_when_a_check_fails(settings: Settings) -> None:
    assert found(look_at_settings)["settings"].condition is WELL
    settings.VIDEO_BATCH_JOB_QUEUE = ""
    finding = found(look_at_settings)["settings"]
    assert finding.condition is UNWELL
    assert "batchreel.E002" in finding.why


def test_ffmpeg_is_unwell_when_the_binary_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(look_at_ffmpeg)["ffmpeg"].condition is WELL
    monkeypatch.setenv("FFMPEG_BINARY", "/no/such/binary")
    assert found(look_at_ffmpeg)["ffmpeg"].condition is UNWELL
