"""Metrics: what has ended is counted once, gauges read open work, and CloudWatch can read the line of the log."""

from __future__ import annotations

import json
import time
import uuid
from copy import copy
from typing import Any

import jsonschema
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from tasks import tasks
from tasks.batch import calls
from tasks.json_logs import JsonFormatter
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, JobState
from tasks.metrics import counters, definitions, log_line
from tasks.metrics.readings import read_gauges
from tasks.metrics.tally import tally_ended
from tasks.models import Attempt, Counter, Job, Tick
from tasks.services.container_api.finish import finish_unit, replan
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.requests.request import revive
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.lease import run_tick, take_lease
from tests.factories import age, claimed, leased, planned, published, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db

_EMF = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "maxItems": 30, "items": {"type": "string"}},
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": ["Seconds", "Count", "Bytes", "None"]},
                                        "StorageResolution": {"enum": [1, 60]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
"""What AWS's specification of the Embedded Metric Format requires of the object `_aws`."""


def failed(attempt: Attempt, reason: Reason = Reason.EXIT_CODE, **columns: object) -> None:
    """End a live attempt."""
    with transaction.atomic():
        job = lock_job(attempt.job_id)
        end_attempt(read_attempt(job, attempt.number), AttemptEvent.FAIL, reason=reason, **columns)


def values(metric: definitions.Metric) -> dict[tuple[str, ...], float]:
    """Return the series of a counter that are not 0."""
    return {labels: value for labels, value in counters.counter_values(metric)[metric].items() if value}


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the newest METRICS line as the site writes it."""
    record = [each for each in caplog.records if each.getMessage() == "METRICS"][-1]
    line: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return line


def test_ended_attempt_is_counted_once_when_two_ticks_follow() -> None:
    failed(submitted_attempt())
    for _ in range(2):
        tally_ended()
    assert values(definitions.ATTEMPTS_ENDED) == {("EXIT_CODE", "yes"): 1}


def test_ended_attempt_is_counted_later_when_the_tick_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed(submitted_attempt())

    def broken(_: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr("tasks.metrics.tally.add", broken)
        with pytest.raises(DatabaseError):
            tally_ended()
    assert not values(definitions.ATTEMPTS_ENDED)
    tally_ended()
    assert values(definitions.ATTEMPTS_ENDED) == {("EXIT_CODE", "yes"): 1}


@pytest.mark.parametrize(("counted", "label"), [(True, "yes"), (False, "no"), (None, "yes")])
def test_undecided_attempt_is_counted_only_once_decided_when_a_final_status_comes_late(
    counted: bool | None, label: str
) -> None:
    failed(submitted_attempt(), Reason.HEARTBEAT_TIMEOUT)
    tally_ended()
    assert not values(definitions.ATTEMPTS_ENDED)
    assert read_gauges()[definitions.UNDECIDED_ATTEMPTS] == {(): 1}
    if counted is None:
        age(Attempt, "ended_at", seconds=901)
    Attempt.objects.update(counted=counted)
    tally_ended()
    assert values(definitions.ATTEMPTS_ENDED) == {("HEARTBEAT_TIMEOUT", label): 1}


def test_vcpu_seconds_are_those_of_the_claimed_time_when_an_attempt_waited_before() -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    age(Attempt, "created_at", seconds=9000)
    age(Attempt, "claimed_at", seconds=100)
    failed(attempt)
    tally_ended()
    assert values(definitions.VCPU_SECONDS)["FAILED",] == pytest.approx(200, abs=2)


def test_duration_to_ready_is_in_its_bucket_when_a_video_is_published() -> None:
    published()
    age(Job, "created_at", seconds=700)
    assert tally_ended() == [pytest.approx(700, abs=5)]
    assert values(definitions.READY.bucket) == {("1200",): 1}
    assert values(definitions.JOBS_ENDED) == {("SUCCEEDED",): 1}


def test_job_is_counted_again_when_it_ends_after_it_was_revived() -> None:
    job = submitted_attempt().job
    for _ in range(2):
        Attempt.objects.update(state="FAILED", reason="EXIT_CODE", ended_at=Now())
        Job.objects.update(state=JobState.DEAD, reason="ATTEMPTS_EXHAUSTED", next_attempt_at=None, finished_at=Now())
        tally_ended()
        revive(job_id=job.pk)
    assert values(definitions.JOBS_ENDED) == {("DEAD",): 2}


def test_series_exist_with_zero_when_nothing_has_happened() -> None:
    found = counters.counter_values(definitions.ATTEMPTS_ENDED, definitions.AWS_CALLS)
    reason = Reason.SCRATCH_TOO_SMALL
    assert found[definitions.ATTEMPTS_ENDED][reason, "yes" if reason.counts.value else "no"] == 0
    assert found[definitions.AWS_CALLS]["SubmitJob", "throttled"] == 0


def test_nothing_is_stuck_when_a_container_works_and_others_wait() -> None:
    waiting, running = submitted_attempt(), submitted_attempt()
    age(Attempt, "created_at", seconds=7200)
    assert read_gauges()[definitions.STUCK][()] == pytest.approx(7200, abs=5)
    claim = claimed(running)
    for stage in ("reserve", "fetch"):
        send_heartbeat(claim, stage=stage, count=0, encoded_frames=0)
        readings = read_gauges()
        # One that waits for room on its machine's disk does not work.
        assert readings[definitions.STUCK][()] == pytest.approx(7200 if stage == "reserve" else 0, abs=5)
    assert readings[definitions.OLDEST_ATTEMPT]["SUBMITTED",] == pytest.approx(7200, abs=5)
    assert waiting.state == "SUBMITTED"


def test_job_is_stuck_when_none_of_its_attempts_starts() -> None:
    first = submitted_attempt()
    failed(first)
    age(Attempt, "created_at", seconds=3000)
    age(Job, "next_attempt_at", seconds=600)
    second = submitted_attempt(first.job.video)
    assert second.number == 2
    failed(second)
    assert read_gauges()[definitions.STUCK][()] == pytest.approx(3000, abs=20)


def test_job_is_not_stuck_when_its_last_container_worked_and_its_retry_is_not_due() -> None:
    claim = claimed(submitted_attempt())
    send_heartbeat(claim, stage="fetch", count=0, encoded_frames=0)
    failed(Attempt.objects.get())
    age(Attempt, "created_at", "ended_at", seconds=3000)
    assert read_gauges()[definitions.STUCK][()] == pytest.approx(0, abs=20)


def test_backlog_is_not_stuck_when_its_only_container_has_just_ended() -> None:
    claim = claimed(submitted_attempt())
    send_heartbeat(claim, stage="fetch", count=0, encoded_frames=0)
    waiting = uploaded_video()
    age(Job, "next_attempt_at", "created_at", seconds=80_000)
    failed(Attempt.objects.get())
    age(Attempt, "ended_at", seconds=200)
    assert Job.objects.get(video=waiting).state == "QUEUED"
    assert read_gauges()[definitions.STUCK][()] == pytest.approx(200, abs=20)


def test_nothing_is_stuck_when_the_only_open_job_is_dead() -> None:
    failed(submitted_attempt())
    Job.objects.update(state="DEAD", reason="ATTEMPTS_EXHAUSTED", next_attempt_at=None)
    age(Attempt, "created_at", seconds=80_000)
    assert read_gauges()[definitions.STUCK] == {(): 0}


def test_due_job_is_stuck_when_no_tick_submits_it() -> None:
    failed(submitted_attempt())
    age(Job, "next_attempt_at", "created_at", seconds=5000)
    readings = read_gauges()
    assert readings[definitions.STUCK][()] == pytest.approx(5000, abs=20)
    assert readings[definitions.OLDEST_WAITING_UPLOAD][()] == pytest.approx(5000, abs=20)
    assert readings[definitions.DUE_JOBS] == {(): 1}


def test_upload_no_longer_waits_when_its_plan_was_discarded() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    replan(claim, leased(claim), why="another engine")
    failed(Attempt.objects.get())
    age(Job, "created_at", seconds=5000)
    assert read_gauges()[definitions.OLDEST_WAITING_UPLOAD] == {(): 0}


def test_late_heartbeat_is_reported_when_a_container_is_silent() -> None:
    claimed(submitted_attempt())
    assert read_gauges()[definitions.LATE_HEARTBEATS] == {(): 0}
    age(Attempt, "heartbeat_at", seconds=50)
    readings = read_gauges()
    assert readings[definitions.LATE_HEARTBEATS] == {(): 1}
    assert readings[definitions.OLDEST_HEARTBEAT][()] == pytest.approx(50, abs=5)


def test_tick_is_failing_when_its_last_run_failed_or_was_killed() -> None:
    def body(_: object) -> None:
        message = "a bug"
        raise ValueError(message)

    with pytest.raises(ValueError, match="a bug"):
        run_tick("observe", period_s=15, body=body)
    assert take_lease("rescue", period_s=30)
    age(Tick, "started_at", "leased_until", seconds=60)
    readings = read_gauges()
    assert {tick for tick, failing in readings[definitions.TICK_FAILING].items() if failing} == {
        ("observe",),
        ("rescue",),
    }
    assert take_lease("rescue", period_s=30)
    readings = read_gauges()
    assert readings[definitions.TICK_FAILURES]["rescue",] == 1
    assert readings[definitions.TICK_FAILURES]["observe",] == 1
    assert readings[definitions.TICK_AGE]["submit",] == float("inf")


def test_calls_are_added_later_when_the_database_was_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.take_counts()
    calls.give_back({("SubmitJob", "ok"): 3})

    def unavailable(_: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(counters, "add", unavailable)
        counters.record_calls()
    assert not values(definitions.AWS_CALLS)
    counters.record_calls()
    counters.record_calls()
    assert values(definitions.AWS_CALLS) == {("SubmitJob", "ok"): 3}


def test_line_for_cloudwatch_follows_its_format_when_everything_has_happened(caplog: pytest.LogCaptureFixture) -> None:
    published()
    failed(submitted_attempt(), Reason.SCRATCH_TOO_SMALL)
    tasks.metrics_tick.run()
    line = logged(caplog)
    jsonschema.validate(line, _EMF)
    directive = line["_aws"]["CloudWatchMetrics"][0]
    names = [each["Name"] for each in directive["Metrics"]]
    assert set(names) == set(log_line.UNITS)
    numbers = [value for name in names for value in (line[name] if isinstance(line[name], list) else [line[name]])]
    assert all(isinstance(value, (int, float)) and abs(value) < 2**360 for value in numbers)
    assert [line[each] for each in directive["Dimensions"][0]] == ["batchreel"]
    assert abs(line["_aws"]["Timestamp"] - time.time() * 1000) < 60_000
    assert (line["DisksFull"], line["AttemptsFailed"]) == (1, 0), "the machine's fault does not count"
    assert len(json.dumps(line)) < 4096


def test_failure_is_in_the_line_when_the_attempt_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    finish_unit(claim, leased(claim), output={})
    failed(Attempt.objects.get(), Reason.TRANSCODE_FAILED)
    log_line.log_metrics(tally_ended())
    assert Attempt.objects.get().counted is False
    assert logged(caplog)["AttemptsFailed"] == 1
    series = counters.counter_values(definitions.ATTEMPTS_ENDED)[definitions.ATTEMPTS_ENDED]
    assert ("TRANSCODE_FAILED", "no") in definitions.ATTEMPTS_ENDED.zeros
    assert series["TRANSCODE_FAILED", "no"] == 1


def test_failed_call_is_in_the_line_when_it_is_not_one_that_a_role_need_not_allow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls.take_counts()
    calls.give_back({("SubmitJob", "denied"): 2, ("GetProducts", "denied"): 3, ("SubmitJob", "ok"): 4})
    counters.record_calls()
    log_line.log_metrics(tally_ended())
    assert logged(caplog)["AwsCallsFailed"] == 2


def test_line_has_the_increase_only_when_another_one_follows(caplog: pytest.LogCaptureFixture) -> None:
    failed(submitted_attempt())
    for expected in (1, 0):
        log_line.log_metrics(tally_ended())
        assert logged(caplog)["AttemptsFailed"] == expected
    assert "ReadySeconds" not in logged(caplog)


def test_line_has_at_most_a_hundred_values_when_a_backlog_is_published(caplog: pytest.LogCaptureFixture) -> None:
    log_line.log_metrics([1.0] * 250)
    assert len(logged(caplog)["ReadySeconds"]) == 100


def test_statements_do_not_grow_when_there_are_more_rows() -> None:
    with CaptureQueriesContext(connection) as few:
        read_gauges()
    for _ in range(5):
        failed(submitted_attempt())
    with CaptureQueriesContext(connection) as more:
        read_gauges()
    assert len(more) == len(few) <= 15


def test_gauges_use_their_indexes_when_there_are_many_rows() -> None:
    job = Job.objects.get(video=published())
    attempt = Attempt.objects.get(job=job)
    jobs = [copy(job) for _ in range(3000)]
    for each in jobs:
        each.pk, each.automatic = uuid.uuid4(), False
    Job.objects.bulk_create(jobs)
    attempts = [copy(attempt) for _ in jobs]
    for clone, of in zip(attempts, jobs, strict=True):
        clone.pk, clone.job, clone.batch_job_name, clone.batch_job_id = None, of, str(of.pk), str(of.pk)
    Attempt.objects.bulk_create(attempts)
    tally_ended()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE batchreel_job, batchreel_attempt, batchreel_video")
    with CaptureQueriesContext(connection) as queries:
        read_gauges()
        tally_ended()
    read = [each["sql"] for each in queries if each["sql"].startswith("SELECT") and "batchreel_" in each["sql"]]
    plans = []
    for sql in read:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
    indexes = ("job_open", "job_due", "job_untallied", "attempt_live", "attempt_undecided", "attempt_untallied")
    assert {index: any(f" {index} " in plan for plan in plans) for index in indexes} == dict.fromkeys(indexes, True)
    assert not [
        plan for plan in plans if "Seq Scan on batchreel_job" in plan or "Seq Scan on batchreel_attempt" in plan
    ]


def test_counters_are_rows_when_two_callers_add_to_the_same() -> None:
    series = (definitions.JOBS_ENDED, ("DEAD",))
    counters.add({series: 1})
    counters.add({series: 2.5})
    assert Counter.objects.get().value == 3.5
