"""Doctor: how it runs checks, and what they conclude. Injected faults: test_doctor_faults.py."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import redis
from django.conf import settings as django_settings
from django_celery_beat.models import PeriodicTask

from tasks.batch.errors import BatchDeniedError
from tasks.broker import redis_broker
from tasks.broker.app import celery_app
from tasks.broker.client import broker_connection, redis_client
from tasks.doctor.finding import Finding, Status, ok
from tasks.doctor.parts import PROBES
from tasks.doctor.probes.database import check_database
from tasks.doctor.probes.jobs import check_jobs
from tasks.doctor.probes.storage import check_storage
from tasks.doctor.probes.ticks import check_ticks
from tasks.doctor.runner import Probe, run_probes
from tasks.models import GrantCounter, Job, Tick
from tasks.schedule.ticks import OBSERVE, QUEUES, RESCUE, SUBMIT, TICKS, WAKEUP_TASK
from tasks.services.requests.request import request_again
from tasks.services.ticks.grant import read_queues
from tasks.services.ticks.lease import run_tick
from tests.factories import ScriptedBatch, age, uploaded_video
from tests.wakeup_broker import set_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kombu import Connection
    from pytest_django import Settings

BUCKET = {
    "BACKEND": "storages.backends.s3.S3Storage",
    "OPTIONS": {"bucket_name": "lectures", "endpoint_url": "https://s3.example.org", "secret_key": "s3cret"},
}

OK, WARNING, FAILED, UNKNOWN = Status.OK, Status.WARNING, Status.FAILED, Status.UNKNOWN


def found(check: Callable[[], Iterable[Finding]]) -> dict[str, Finding]:
    """Run one check as doctor does, in a thread with its own connection; return its findings by part."""
    findings = run_probes([Probe("the check", check)])
    assert all(finding.fix for finding in findings if finding.status is not OK)
    return {finding.part: finding for finding in findings}


@pytest.fixture
def own_queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process queues of its own in the broker."""
    options = {**celery_app().conf.broker_transport_options, "global_keyprefix": "doctor-test:"}
    monkeypatch.setitem(celery_app().conf, "broker_transport_options", options)
    yield
    with redis.Redis.from_url(django_settings.CELERY_BROKER_URL) as client:
        client.delete(*(f"doctor-test:{queue}" for queue in QUEUES))


def push_raw_into(connection: Connection, queue: str, message: bytes) -> None:
    with redis_client(connection) as client:
        client.rpush(queue, message)


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
            [
                Probe("hanging", hanging, lambda: ["PostgreSQL at db:5432", "the broker at redis://db:6379"]),
                Probe("busy", hanging),
                Probe("healthy", lambda: [ok("healthy", "It is.")]),
            ],
            deadline_s=2,
        )
        forever.set()
        assert [(each.part, each.status) for each in findings] == [
            ("hanging", UNKNOWN),
            ("busy", UNKNOWN),
            ("healthy", OK),
        ]
        server = "No response within 2 s from PostgreSQL at db:5432 or the broker at redis://db:6379."
        assert [each.why for each in findings[:2]] == [server, "No response within 2 s."]

    def test_doctor_names_address_and_no_password_when_a_server_hangs(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = {"HOST": "db.example.org", "PORT": "5433", "PASSWORD": "s3cret"}
        monkeypatch.setitem(settings.DATABASES, "default", {**settings.DATABASES["default"], **database})
        set_broker(monkeypatch, redis_broker("rediss://user:s3cret@redis.example.org:6380/0"))
        settings.STORAGES = {**settings.STORAGES, "default": BUCKET}
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        shown = {probe.part: list(probe.addresses()) for probe in PROBES}
        assert "s3cret" not in str(shown)
        postgres, broker = "PostgreSQL at db.example.org:5433", "the broker at rediss://redis.example.org:6380"
        assert (shown["database"], shown["broker"], shown["ticks"]) == ([postgres], [broker], [postgres, broker])
        assert shown["storage"] == ["the storage default at https://s3.example.org, bucket lectures"]
        assert shown["queue"] == ["AWS Batch at http://127.0.0.1:9"]
        unnamed = {part for part, names in shown.items() if not names}
        assert unnamed == {"settings", "ffmpeg", "player"}, "they connect to nothing"


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
        stale = {"tick submit", "tick observe", "tick deliver", "tick edit"}
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

    @pytest.mark.usefixtures("own_queues")
    @pytest.mark.parametrize(
        ("expires_s", "sign", "fix"),
        [
            (
                15,
                "Beat sends it: 3 of its messages wait in the queue batchreel.submit, so no worker",
                "worker -Q batchreel.",
            ),
            (
                -1,
                "3 of its messages wait in the queue batchreel.submit, but none of the last 15 s",
                "celery -A project beat",
            ),
        ],
        ids=["fresh", "expired"],
    )
    def test_tick_check_names_the_queue_when_messages_of_beat_wait_in_it(
        self, expires_s: int, sign: str, fix: str
    ) -> None:
        with broker_connection(timeout_s=3) as connection:
            for tick in (SUBMIT, SUBMIT, SUBMIT, OBSERVE):
                expires = datetime.now(UTC) + timedelta(seconds=expires_s)
                celery_app().send_task(tick.task, queue=tick.queue, expires=expires, connection=connection)
            # A wake-up is no sign of beat.
            celery_app().send_task(WAKEUP_TASK, queue=RESCUE.queue, expires=60, connection=connection)
            push_raw_into(connection, RESCUE.queue, b"no message")
        findings = found(check_ticks)
        assert sign in findings["tick submit"].why
        assert fix in findings["tick submit"].fix
        assert "There is no sign that beat sends it" in findings["tick rescue"].why


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
