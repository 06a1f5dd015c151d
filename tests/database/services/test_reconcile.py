"""Reconciling: without --apply it only reports, with --apply it does exactly what it reported."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from tasks.batch.errors import BatchDeniedError
from tasks.batch.port import ListedJob
from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.management.commands import reconcile as command
from tasks.models import Attempt, Event, Job, Tick, Video
from tasks.schedule.ticks import OBSERVE
from tasks.services import reconcile as service
from tasks.services.reconcile import reconcile
from tasks.services.ticks.observe import observe
from tasks.services.ticks.resume import resume
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db


def rows() -> list[Any]:
    """Return all rows that reconciling may change."""
    return [list(model.objects.order_by("pk").values()) for model in (Video, Job, Attempt, Event)]


@pytest.fixture
def inconsistent(batch: ScriptedBatch) -> ScriptedBatch:
    """One of each inconsistency.

    A video without a job, a lost host, a silent container, a job without a live attempt, an orphan,
    and a Batch job of an ended attempt.
    """
    Tick.objects.create(name="rescue", continuous_since=Now(), started_at=Now())
    age(Tick, "continuous_since", seconds=100_000)
    lost, silent, idle, ended = (
        submitted_attempt(uploaded_video(title=title)) for title in ("lost", "silent", "idle", "ended")
    )
    batch.set_observation(lost, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    claimed(silent)
    Attempt.objects.filter(pk=silent.pk).update(heartbeat_at=Now())
    age(Attempt, "heartbeat_at", seconds=181)
    for attempt, state in ((idle, "LOST"), (ended, "CANCELLED")):
        Attempt.objects.filter(pk=attempt.pk).update(state=state, reason="HEARTBEAT_TIMEOUT", ended_at=Now())
    batch.set_observation(idle, BatchStatus.FAILED, started=True)
    Job.objects.filter(pk=ended.job_id).update(state="CANCELLED", reason="CANCELLED")
    batch.found = [
        ListedJob(
            batch_job_id="orphan", name=f"batchreel-{uuid.uuid4()}-1", status=BatchStatus.RUNNING, created_at_ms=1
        ),
    ]
    Video.objects.bulk_create([Video(title="missing", source="sources/x/lecture.mp4")])
    return batch


def test_reconcile_changes_nothing_when_apply_is_not_given(inconsistent: ScriptedBatch) -> None:
    before = rows()
    report = reconcile(batch=inconsistent, apply_changes=False)
    assert rows() == before
    assert inconsistent.terminated == []
    assert {"job.request", "attempt.fail", "attempt.lose", "job.retry"} <= {event.kind for event in report.events}


def test_reconcile_does_what_it_reported_when_apply_is_given(inconsistent: ScriptedBatch) -> None:
    planned = reconcile(batch=inconsistent, apply_changes=False)
    done = reconcile(batch=inconsistent, apply_changes=True)
    assert [
        (each.kind, each.job_id and str(each.attempt_number)) for each in done.events if each.kind != "job.request"
    ] == [
        (each.kind, each.job_id and str(each.attempt_number)) for each in planned.events if each.kind != "job.request"
    ]
    assert done.terminated == planned.terminated
    assert set(inconsistent.terminated) >= {"orphan"}
    states = dict(Job.objects.values_list("video__title", "state"))
    assert states == {
        "lost": "RETRY_WAIT",
        "silent": "RETRY_WAIT",
        "idle": "RETRY_WAIT",
        "ended": "CANCELLED",
        "missing": "QUEUED",
    }


def test_reconcile_finds_nothing_when_it_was_applied_before(inconsistent: ScriptedBatch) -> None:
    reconcile(batch=inconsistent, apply_changes=True)
    inconsistent.found = []
    for attempt in Attempt.objects.exclude(batch_job_id=None):
        inconsistent.set_observation(attempt, BatchStatus.FAILED, started=True)
    reconcile(batch=inconsistent, apply_changes=True)
    assert reconcile(batch=inconsistent, apply_changes=True).is_empty


@pytest.mark.parametrize("ticks", ["never came", "stopped"])
def test_silence_proves_nothing_when_ticks_had_a_gap(ticks: str, batch: ScriptedBatch) -> None:
    claimed(submitted_attempt())
    age(Attempt, "heartbeat_at", seconds=100_000)
    if ticks == "stopped":
        # They ran for days until an outage of our database. It is over, but no tick has run yet.
        Tick.objects.create(name="rescue", continuous_since=Now(), started_at=Now())
        age(Tick, "continuous_since", seconds=200_000)
        age(Tick, "started_at", seconds=600)
    report = reconcile(batch=batch, apply_changes=True)
    assert {event.kind for event in report.events} == {"batch.status"}
    assert Attempt.objects.get().state == "RUNNING"


def test_absence_proves_nothing_when_ticks_had_a_gap(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    batch.set_observation(attempt, BatchStatus.ABSENT)
    age(Attempt, "heartbeat_at", "created_at", seconds=600)
    Attempt.objects.update(missing_responses=bridge_settings().missing_responses_limit)
    Tick.objects.create(name=OBSERVE.name, continuous_since=Now(), started_at=Now())
    age(Tick, "continuous_since", seconds=200_000)
    age(Tick, "started_at", seconds=600)
    reconcile(batch=batch, apply_changes=True)
    assert Attempt.objects.get().state == "RUNNING"


def test_reconcile_changes_nothing_when_aws_denies_describe_jobs(inconsistent: ScriptedBatch) -> None:
    inconsistent.describe_error = BatchDeniedError("DescribeJobs: AccessDenied")
    before = rows()
    with pytest.raises(BatchDeniedError):
        reconcile(batch=inconsistent, apply_changes=True)
    assert rows() == before


def test_reconcile_continues_when_a_batch_job_cannot_be_terminated(inconsistent: ScriptedBatch) -> None:
    planned = reconcile(batch=inconsistent, apply_changes=False)
    inconsistent.terminate_error = BatchDeniedError("TerminateJob: AccessDenied")
    done = reconcile(batch=inconsistent, apply_changes=True)
    assert len(planned.terminated) > 1
    assert (
        [each for each, _ in done.not_terminated] == [each for each, _ in planned.terminated] == inconsistent.terminated
    )
    assert (done.terminated, done.is_empty) == ([], False)
    assert Job.objects.get(video__title="silent").state == "RETRY_WAIT"


@pytest.mark.django_db(transaction=True)
def test_reconcile_omits_events_of_ticks_when_they_run_at_the_same_time(
    inconsistent: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resume_while_a_tick_runs(job_id: uuid.UUID) -> bool:
        thread = threading.Thread(target=append_event_elsewhere)
        thread.start()
        thread.join()
        return resume(job_id)

    monkeypatch.setattr(service, "resume", resume_while_a_tick_runs)
    report = reconcile(batch=inconsistent, apply_changes=False)
    assert Event.objects.filter(kind="tick.failed").exists()
    assert {event.kind for event in report.events} & {"job.retry", "tick.failed"} == {"job.retry"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("apply_changes", [False, True])
def test_other_jobs_are_not_locked_when_one_is_reconciled(
    apply_changes: bool, inconsistent: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked_elsewhere: list[int] = []

    def resume_while_others_are_locked(job_id: uuid.UUID) -> bool:
        with ThreadPoolExecutor(1) as threads:
            locked_elsewhere.append(threads.submit(lock_other_jobs, job_id).result(timeout=20))
        return resume(job_id)

    monkeypatch.setattr(service, "resume", resume_while_others_are_locked)
    reconcile(batch=inconsistent, apply_changes=apply_changes)
    # Four jobs had attempts. With --apply, the imported video has one, too.
    assert locked_elsewhere == [3 + apply_changes] * 4


def lock_other_jobs(job_id: uuid.UUID) -> int:
    """Lock all other jobs in another connection, and return their number; it fails if it would have to wait."""
    try:
        with transaction.atomic():
            return len(Job.objects.select_for_update(nowait=True).exclude(pk=job_id))
    finally:
        connection.close()


def append_event_elsewhere() -> None:
    """Append an event as a tick in another process does.

    It uses its own connection, and its Django signals do not reach this process.
    """
    try:
        Event.objects.bulk_create([Event(kind="tick.failed", text="observe: throttled")])
    finally:
        connection.close()


def run_command(batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run the command with scripted responses of AWS, and return its output."""
    monkeypatch.setattr(command, "aws_batch", lambda: batch)
    out = StringIO()
    call_command("reconcile", *arguments, stdout=out)
    return out.getvalue()


def test_reconcile_prints_actions_reasons_and_next_step_when_it_is_run(
    inconsistent: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = run_command(inconsistent, monkeypatch)
    assert output.startswith("Would do:")
    assert "Host EC2 (instance i-1) terminated." in output
    assert "terminate Batch job orphan: Batchreel: no live attempt has this Batch job" in output
    assert output.rstrip().endswith("Run it again with --apply to apply these changes.")
    assert run_command(inconsistent, monkeypatch, "--apply").startswith("Done:")


def test_reconcile_prints_nothing_to_do_when_everything_is_consistent(
    batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted_attempt()
    observe(batch=batch, tick=0)
    assert "nothing to do" in run_command(batch, monkeypatch)


def test_reconcile_prints_one_message_when_aws_denies_it(batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted_attempt()
    batch.describe_error = BatchDeniedError("DescribeJobs at here: AccessDenied")
    with pytest.raises(CommandError, match=r"Not reconciled: DescribeJobs at here: AccessDenied"):
        run_command(batch, monkeypatch)


def test_reconcile_lists_batch_jobs_that_run_when_terminating_fails(
    inconsistent: ScriptedBatch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inconsistent.terminate_error = BatchDeniedError("TerminateJob at here: AccessDenied")
    monkeypatch.setattr(command, "aws_batch", lambda: inconsistent)
    with pytest.raises(CommandError, match=r"\d+ Batch jobs were not terminated: TerminateJob at here: AccessDenied"):
        call_command("reconcile", "--apply")
    assert "NOT terminated: Batch job orphan" in capsys.readouterr().out
