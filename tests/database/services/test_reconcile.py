"""Reconciling: what would be done is said first and changes nothing; the same is done with --apply."""

from __future__ import annotations

import threading
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
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
from tasks.services.ticks.resume import resume_idle
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db


def rows() -> list[Any]:
    """Everything that reconciling may change."""
    return [list(model.objects.order_by("pk").values()) for model in (Video, Job, Attempt, Event)]


@pytest.fixture
def amiss(batch: ScriptedBatch) -> ScriptedBatch:
    """One of each: an overlooked video, a lost host, a silent container, an idle job, a orphan, a Batch job of an ended attempt."""
    Tick.objects.create(name="rescue", continuous_since=Now(), started_at=Now())
    age(Tick, "continuous_since", seconds=100_000)
    lost, silent, idle, ended = (
        submitted_attempt(uploaded_video(title=title)) for title in ("lost", "silent", "idle", "ended")
    )
    batch.says(lost, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    claimed(silent)
    Attempt.objects.filter(pk=silent.pk).update(heartbeat_at=Now())
    age(Attempt, "heartbeat_at", seconds=181)
    for attempt, state in ((idle, "LOST"), (ended, "CANCELLED")):
        Attempt.objects.filter(pk=attempt.pk).update(state=state, reason="HEARTBEAT_TIMEOUT", ended_at=Now())
    batch.says(idle, BatchStatus.FAILED, started=True)
    Job.objects.filter(pk=ended.job_id).update(state="CANCELLED", reason="CANCELLED")
    batch.found = [
        ListedJob(
            batch_job_id="orphan", name=f"batchreel-{uuid.uuid4()}-1", status=BatchStatus.RUNNING, created_at_ms=1
        ),
    ]
    Video.objects.bulk_create([Video(title="overlooked", source="sources/x/lecture.mp4")])
    return batch


def test_nothing_is_changed_when_it_is_only_asked_what_is_amiss(amiss: ScriptedBatch) -> None:
    before = rows()
    report = reconcile(batch=amiss, apply_changes=False)
    assert rows() == before
    assert amiss.terminated == []
    assert {"job.request", "attempt.fail", "attempt.lose", "job.retry"} <= {event.kind for event in report.events}


def test_what_was_said_is_done_when_it_is_applied(amiss: ScriptedBatch) -> None:
    said = reconcile(batch=amiss, apply_changes=False)
    done = reconcile(batch=amiss, apply_changes=True)
    assert [
        (each.kind, each.job_id and str(each.attempt_number)) for each in done.events if each.kind != "job.request"
    ] == [(each.kind, each.job_id and str(each.attempt_number)) for each in said.events if each.kind != "job.request"]
    assert done.terminated == said.terminated
    assert set(amiss.terminated) >= {"orphan"}
    states = dict(Job.objects.values_list("video__title", "state"))
    assert states == {
        "lost": "RETRY_WAIT",
        "silent": "RETRY_WAIT",
        "idle": "RETRY_WAIT",
        "ended": "CANCELLED",
        "overlooked": "QUEUED",
    }


def test_nothing_is_left_to_do_when_it_was_applied(amiss: ScriptedBatch) -> None:
    reconcile(batch=amiss, apply_changes=True)
    amiss.found = []
    for attempt in Attempt.objects.exclude(batch_job_id=None):
        amiss.says(attempt, BatchStatus.FAILED, started=True)
    reconcile(batch=amiss, apply_changes=True)
    assert reconcile(batch=amiss, apply_changes=True).is_empty


@pytest.mark.parametrize("ticks", ["never came", "stopped"])
def test_silence_proves_nothing_when_the_ticks_were_away(ticks: str, batch: ScriptedBatch) -> None:
    claimed(submitted_attempt())
    age(Attempt, "heartbeat_at", seconds=100_000)
    if ticks == "stopped":
        # They ran for days. Then our database was away; now it is back, and an operator is faster than the next tick.
        Tick.objects.create(name="rescue", continuous_since=Now(), started_at=Now())
        age(Tick, "continuous_since", seconds=200_000)
        age(Tick, "started_at", seconds=600)
    report = reconcile(batch=batch, apply_changes=True)
    assert {event.kind for event in report.events} == {"batch.status"}
    assert Attempt.objects.get().state == "RUNNING"


def test_absence_proves_nothing_when_the_ticks_were_away(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    batch.says(attempt, BatchStatus.ABSENT)
    age(Attempt, "heartbeat_at", "created_at", seconds=600)
    Attempt.objects.update(missing_answers=bridge_settings().missing_answers_limit)
    Tick.objects.create(name=OBSERVE.name, continuous_since=Now(), started_at=Now())
    age(Tick, "continuous_since", seconds=200_000)
    age(Tick, "started_at", seconds=600)
    reconcile(batch=batch, apply_changes=True)
    assert Attempt.objects.get().state == "RUNNING"


def test_nothing_is_changed_when_aws_cannot_be_asked(amiss: ScriptedBatch) -> None:
    amiss.describe_error = BatchDeniedError("DescribeJobs: AccessDenied")
    before = rows()
    with pytest.raises(BatchDeniedError):
        reconcile(batch=amiss, apply_changes=True)
    assert rows() == before


def test_the_rest_is_done_when_one_batch_job_cannot_be_terminated(amiss: ScriptedBatch) -> None:
    said = reconcile(batch=amiss, apply_changes=False)
    amiss.terminate_error = BatchDeniedError("TerminateJob: AccessDenied")
    done = reconcile(batch=amiss, apply_changes=True)
    assert len(said.terminated) > 1
    assert [each for each, _ in done.not_terminated] == [each for each, _ in said.terminated] == amiss.terminated
    assert (done.terminated, done.is_empty) == ([], False)
    assert Job.objects.get(video__title="silent").state == "RETRY_WAIT"


@pytest.mark.django_db(transaction=True)
def test_events_of_ticks_are_not_told_as_its_own_when_they_come_meanwhile(
    amiss: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resume_while_a_tick_runs(*, limit: int) -> int:
        thread = threading.Thread(target=append_event_elsewhere)
        thread.start()
        thread.join()
        return resume_idle(limit=limit)

    monkeypatch.setattr(service, "resume_idle", resume_while_a_tick_runs)
    report = reconcile(batch=amiss, apply_changes=False)
    assert Event.objects.filter(kind="tick.failed").count() == 1
    assert {event.kind for event in report.events} & {"job.retry", "tick.failed"} == {"job.retry"}


def append_event_elsewhere() -> None:
    """As a tick in another process does: on a connection of its own, and without Django's signals reaching this one."""
    try:
        Event.objects.bulk_create([Event(kind="tick.failed", text="observe: throttled")])
    finally:
        connection.close()


def run_command(batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the command prints, with AWS's answers scripted."""
    monkeypatch.setattr(command, "aws_batch", lambda: batch)
    out = StringIO()
    call_command("reconcile", *arguments, stdout=out)
    return out.getvalue()


def test_operator_reads_what_and_why_and_how_to_go_on(amiss: ScriptedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run_command(amiss, monkeypatch)
    assert said.startswith("Would be done:")
    assert "Host EC2 (instance i-1) terminated." in said
    assert "terminate Batch job orphan: Batchreel: no live attempt has this Batch job" in said
    assert said.rstrip().endswith("Run it again with --apply to do it.")
    assert run_command(amiss, monkeypatch, "--apply").startswith("Done:")


def test_operator_reads_that_all_is_well_when_it_is(batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted_attempt()
    observe(batch=batch, tick=0)
    assert "nothing to do" in run_command(batch, monkeypatch)


def test_operator_gets_one_sentence_when_aws_refuses(batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted_attempt()
    batch.describe_error = BatchDeniedError("DescribeJobs at here: AccessDenied")
    with pytest.raises(CommandError, match=r"Not reconciled: DescribeJobs at here: AccessDenied"):
        run_command(batch, monkeypatch)


def test_operator_reads_which_batch_job_goes_on_when_it_cannot_be_terminated(
    amiss: ScriptedBatch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    amiss.terminate_error = BatchDeniedError("TerminateJob at here: AccessDenied")
    monkeypatch.setattr(command, "aws_batch", lambda: amiss)
    with pytest.raises(CommandError, match=r"\d+ Batch jobs were not terminated: TerminateJob at here: AccessDenied"):
        call_command("reconcile", "--apply")
    assert "NOT terminated: Batch job orphan" in capsys.readouterr().out
