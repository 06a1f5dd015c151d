"""Submitting: SubmitJob takes effect once per attempt, and the attempt limit is exact."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tasks import tasks
from tasks.batch.errors import (
    BatchAmbiguousError,
    BatchDeniedError,
    BatchError,
    BatchRejectedError,
    BatchThrottledError,
)
from tasks.batch.port import ListedJob, Submission
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, UnitKind
from tasks.models import Attempt, Event, Job, Tick
from tasks.services.container_api.finish import fail_attempt, finish_unit
from tasks.services.removal.purge import purge_deleted
from tasks.services.requests.cancel import cancel_job
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import record_submitted, submit_due, take_due
from tests.factories import (
    ScriptedBatch,
    age,
    claimed,
    leased,
    newest_attempt,
    planned,
    submitted_attempt,
    uploaded_video,
)

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def test_due_job_is_submitted_once_when_ticks_and_wakeups_are_repeated(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for _ in range(3):
        submit_due(batch=batch)
    attempt = newest_attempt(video)
    assert [each.name for each in batch.submissions] == [f"batchreel-{attempt.job_id}-1"]
    assert (attempt.state, attempt.batch_job_id) == ("SUBMITTED", f"batch-{attempt.batch_job_name}")
    assert batch.submissions[0].parameters == {"job_id": str(attempt.job_id), "attempt": "1"}
    assert batch.submissions[0].environment == {"VIDEO_JOB_ID": str(attempt.job_id), "VIDEO_JOB_ATTEMPT": "1"}


def test_attempt_is_submitted_again_when_aws_throttled_it(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    batch.submit_error = BatchThrottledError("too many")
    assert submit_due(batch=batch).rejections.total() == 1
    assert submit_due(batch=batch).submitted == 0
    assert len(batch.submissions) == 1
    batch.submit_error = None
    age(Attempt, "submit_at", seconds=31)
    assert submit_due(batch=batch).submitted == 1
    assert len({each.name for each in batch.submissions}) == 1
    assert newest_attempt(video).number == 1


def test_remaining_attempts_are_deferred_when_aws_denies_submit_job(batch: ScriptedBatch) -> None:
    for title in "abc":
        uploaded_video(title=title)
    batch.submit_error = BatchDeniedError("AccessDenied")
    submit_due(batch=batch)
    assert len(batch.submissions) == 1
    assert Attempt.objects.filter(state="SUBMITTING", submit_at__isnull=False).count() == 3


def test_other_jobs_are_submitted_when_aws_rejects_some_submissions() -> None:
    videos = [uploaded_video(title=title) for title in "abcdefgh"]
    rejected = {
        f"batchreel-{job_id}-1" for job_id in Job.objects.filter(video__in=videos[:4]).values_list("pk", flat=True)
    }

    class _RejectsSome(ScriptedBatch):
        def submit(self, submission: Submission) -> str:
            self.submit_error = BatchRejectedError("memory is invalid") if submission.name in rejected else None
            return super().submit(submission)

    batch = _RejectsSome()
    for _ in range(4):
        submit_due(batch=batch)
        age(Attempt, "submit_at", seconds=31)
    assert Attempt.objects.filter(state="SUBMITTED").count() == 4
    assert Attempt.objects.filter(state="SUBMITTING").count() == 4


def test_ambiguous_submission_is_adopted_when_its_batch_job_exists(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    batch.submit_error = BatchAmbiguousError("500 after the effect")
    submit_due(batch=batch)
    name = newest_attempt(video).batch_job_name
    batch.found = [
        ListedJob(batch_job_id="second", name=name, status=BatchStatus.RUNNABLE, created_at_ms=2),
        ListedJob(batch_job_id="first", name=name, status=BatchStatus.RUNNING, created_at_ms=1),
    ]
    assert resolve_ambiguous(batch=batch) == 0
    age(Attempt, "submit_called_at", seconds=61)
    assert resolve_ambiguous(batch=batch) == 1
    attempt = newest_attempt(video)
    assert (attempt.state, attempt.batch_job_id, batch.terminated) == ("SUBMITTED", "first", ["second"])
    assert len(batch.submissions) == 1


def test_ambiguous_submission_is_repeated_only_when_two_lookups_are_empty(batch: ScriptedBatch) -> None:
    uploaded_video()
    batch.submit_error = BatchAmbiguousError("dropped")
    submit_due(batch=batch)
    batch.submit_error = None
    age(Attempt, "submit_called_at", seconds=61)
    assert resolve_ambiguous(batch=batch) == 1
    assert resolve_ambiguous(batch=batch) == 0
    assert submit_due(batch=batch).submitted == 0
    age(Attempt, "lookup_at", seconds=61)
    assert resolve_ambiguous(batch=batch) == 1
    assert submit_due(batch=batch).submitted == 1
    assert [each.name for each in batch.submissions] == [batch.submissions[0].name] * 2


def test_late_batch_job_is_terminated_when_its_job_was_cancelled(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    (attempt,) = take_due(limit=10)
    cancel_job(job_id=attempt.job_id)
    record_submitted(attempt, batch_job_id="late", batch=batch)
    assert batch.terminated == ["late"]
    assert (newest_attempt(video).state, newest_attempt(video).batch_job_id) == ("CANCELLED", "late")


def test_submit_continues_when_a_video_is_purged_during_it() -> None:
    purged, other = uploaded_video(title="purged"), uploaded_video(title="other")

    class _Purges(ScriptedBatch):
        def submit(self, submission: Submission) -> str:
            if str(purged.jobs.values_list("pk", flat=True).first()) in submission.name:
                purged.delete()
                assert purge_deleted(limit=10) == 1
            return super().submit(submission)

    batch = _Purges()
    assert submit_due(batch=batch).submitted == 2
    assert batch.terminated == [f"batch-{batch.submissions[0].name}"]
    assert newest_attempt(other).state == "SUBMITTED"


def test_lookup_continues_when_the_video_of_a_submission_was_purged(batch: ScriptedBatch) -> None:
    batch.submit_error = BatchAmbiguousError("read timed out")
    purged = [uploaded_video(title="found"), uploaded_video(title="not found")]
    submit_due(batch=batch)
    age(Attempt, "submit_called_at", seconds=61)

    class _Purges(ScriptedBatch):
        def find(self, *, name: str) -> list[ListedJob]:
            for video in purged:
                video.delete()
            purge_deleted(limit=10)
            return [ListedJob(batch_job_id="late", name=name, status=BatchStatus.RUNNABLE, created_at_ms=1)] * (
                name == batch.submissions[0].name
            )

    late = _Purges()
    assert resolve_ambiguous(batch=late) == 2
    assert late.terminated == ["late"]


def test_submit_response_is_accepted_when_the_claim_was_faster(batch: ScriptedBatch) -> None:
    uploaded_video()
    (attempt,) = take_due(limit=10)
    attempt.batch_job_id = "fast"
    claimed(attempt)
    record_submitted(attempt, batch_job_id="fast", batch=batch)
    assert batch.terminated == []
    record_submitted(attempt, batch_job_id="another", batch=batch)
    assert batch.terminated == ["another"]


def test_job_is_dead_when_exactly_five_attempts_count(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for number in range(1, 6):
        attempt = submitted_attempt(video, batch=batch)
        assert attempt.number == number
        fail_attempt(claimed(attempt), reason=Reason.TRANSCODE_FAILED, text="crashed", exit_code=1)
        assert Job.objects.get(video=video).state == "RETRY_WAIT"
        age(Job, "next_attempt_at", seconds=601)
    submit_due(batch=batch)
    job = Job.objects.get(video=video)
    assert (job.state, job.reason, len(batch.submissions)) == ("DEAD", Reason.ATTEMPTS_EXHAUSTED, 5)


def test_next_attempt_has_more_memory_when_one_ran_out(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    first = submitted_attempt(video, batch=batch)
    fail_attempt(claimed(first), reason=Reason.OUT_OF_MEMORY, text="", exit_code=137)
    age(Job, "next_attempt_at", seconds=601)
    second = submitted_attempt(video, batch=batch)
    assert second.memory_mib == int(first.memory_mib * 1.5)
    assert batch.submissions[-1].memory_mib == second.memory_mib


@pytest.mark.parametrize(
    ("rejection", "wait_s"),
    [(BatchThrottledError("too many"), 2), (BatchDeniedError("AccessDenied"), 30)],
    ids=["throttled", "denied"],
)
def test_submission_waits_longer_when_it_was_denied_than_when_throttled(
    rejection: BatchError, wait_s: int, batch: ScriptedBatch
) -> None:
    for title in "ab":
        uploaded_video(title=title)
    batch.submit_error = rejection
    submit_due(batch=batch)
    batch.submit_error = None
    age(Attempt, "submit_at", seconds=wait_s - 1)
    assert submit_due(batch=batch).submitted == 0
    age(Attempt, "submit_at", seconds=1)
    assert submit_due(batch=batch).submitted == 2


def test_run_submits_up_to_its_limit_when_more_jobs_are_due(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"submit_limit": 25, "submit_time_limit_s": 100}
    for number in range(30):
        uploaded_video(title=str(number))
    assert [submit_due(batch=batch).submitted for _ in range(3)] == [25, 5, 0]


def test_run_stops_after_a_few_calls_when_each_response_is_lost(batch: ScriptedBatch) -> None:
    for number in range(10):
        uploaded_video(title=str(number))
    batch.submit_error = BatchAmbiguousError("500 for every call")
    assert submit_due(batch=batch).ambiguous == 3
    assert len(batch.submissions) == 3
    # The others were not called at all, so they need no lookup.
    assert Attempt.objects.filter(state="SUBMITTING", submit_at__isnull=False).count() == 7
    batch.submit_error = None
    assert submit_due(batch=batch).submitted == 7


def test_new_jobs_are_submitted_in_one_run_when_exhausted_jobs_are_due(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"max_attempts": 1, "submit_time_limit_s": 100}
    exhausted = 25
    jobs = [Job.objects.get(video=uploaded_video(title=str(number))) for number in range(exhausted + 2)]
    for number, job in enumerate(jobs):
        Attempt.objects.create(
            job=job,
            number=1,
            state="FAILED",
            reason="EXIT_CODE",
            counted=number < exhausted,
            ended_at=job.created_at,
            batch_job_name=str(job.pk),
            vcpus=1,
            memory_mib=1,
            timeout_s=3600,
        )
    Job.objects.update(fence=1)
    assert submit_due(batch=batch).submitted == 2
    assert Job.objects.filter(state="DEAD").count() == exhausted


def test_attempts_are_deferred_unsubmitted_when_the_tick_takes_too_long(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"submit_time_limit_s": 0}
    for title in "abc":
        uploaded_video(title=title)
    assert submit_due(batch=batch).submitted == 0
    assert batch.submissions == []
    settings.BATCHREEL = {}
    assert submit_due(batch=batch).submitted == 3
    assert len({each.name for each in batch.submissions}) == 3


def test_submit_continues_when_an_orphan_cannot_be_terminated(batch: ScriptedBatch) -> None:
    videos = [uploaded_video(title=title) for title in "ab"]

    class _CancelledWhileSubmitting(ScriptedBatch):
        def submit(self, submission: Submission) -> str:
            if not self.submissions:
                cancel_job(job_id=uuid.UUID(submission.parameters["job_id"]))
            return super().submit(submission)

    batch = _CancelledWhileSubmitting(terminate_error=BatchDeniedError("AccessDenied"))
    assert submit_due(batch=batch).submitted == 2
    assert len(batch.terminated) == 1
    assert sorted(newest_attempt(video).state for video in videos) == ["CANCELLED", "SUBMITTED"]


def test_owner_is_not_terminated_when_its_claim_precedes_the_lookup(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    batch.submit_error = BatchAmbiguousError("500 after the effect")
    submit_due(batch=batch)
    attempt = newest_attempt(video)
    found = [
        ListedJob(batch_job_id=each, name=attempt.batch_job_name, status=BatchStatus.RUNNING, created_at_ms=at_ms)
        for at_ms, each in enumerate(("orphan", "owner"))
    ]

    class _ClaimedMeanwhile(ScriptedBatch):
        def find(self, *, name: str) -> list[ListedJob]:
            assert name == attempt.batch_job_name
            attempt.batch_job_id = "owner"
            claimed(attempt)
            return found

    late = _ClaimedMeanwhile()
    age(Attempt, "submit_called_at", seconds=61)
    resolve_ambiguous(batch=late)
    assert late.terminated == ["orphan"]
    assert (newest_attempt(video).state, newest_attempt(video).batch_job_id) == ("RUNNING", "owner")


def test_unit_that_fails_every_attempt_is_named_when_the_job_is_dead(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    # The first attempt finishes a unit, so it does not count.
    for number in range(1, 7):
        claim = claimed(submitted_attempt(video, batch=batch))
        if number == 1:
            planned(claim, video_units=2, audio=False)
            finish_unit(claim, leased(claim), output={"folder": "x", "media": {}})
        assert (leased(claim).kind, number) == (UnitKind.VIDEO, number)
        fail_attempt(claim, reason=Reason.OUT_OF_MEMORY, text="", exit_code=137)
        assert newest_attempt(video).units_in_progress == ["video 1"]
        age(Job, "next_attempt_at", seconds=601)
    submit_due(batch=batch)
    job = Job.objects.get(video=video)
    assert job.state == "DEAD"
    assert "Units in progress at the end of each of them: video 1." in Event.objects.get(kind="job.dead").text


def test_next_attempt_has_more_memory_when_silence_came_first(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    first = submitted_attempt(video, batch=batch)
    claimed(first)
    end_attempt(read_attempt(lock_job(first.job_id), 1), AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    batch.set_observation(
        first, BatchStatus.FAILED, container_reason="OutOfMemoryError: Container killed", started=True
    )
    observe(batch=batch, tick=0)
    first.refresh_from_db()
    assert (first.counted, first.reason) == (True, Reason.OUT_OF_MEMORY)
    age(Job, "next_attempt_at", seconds=601)
    assert submitted_attempt(video, batch=batch).memory_mib == int(first.memory_mib * 1.5)


def test_next_attempt_has_more_memory_when_the_encoder_was_killed(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    first = submitted_attempt(video, batch=batch)
    fail_attempt(claimed(first), reason=Reason.TRANSCODE_FAILED, text="ffmpeg was ended by signal 9", exit_code=1)
    batch.set_observation(
        first, BatchStatus.FAILED, container_reason="OutOfMemoryError: Container killed", started=True
    )
    observe(batch=batch, tick=0)
    first.refresh_from_db()
    assert (first.counted, first.reason) == (True, Reason.OUT_OF_MEMORY)
    age(Job, "next_attempt_at", seconds=601)
    assert submitted_attempt(video, batch=batch).memory_mib == int(first.memory_mib * 1.5)


def test_due_jobs_are_submitted_when_lookups_are_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    class _ListDenied(ScriptedBatch):
        def find(self, *, name: str) -> list[ListedJob]:
            raise BatchDeniedError(name)

    batch = _ListDenied(submit_error=BatchAmbiguousError("dropped"))
    monkeypatch.setattr(tasks, "aws_batch", lambda: batch)
    ambiguous = uploaded_video(title="ambiguous")
    tasks.submit_tick()
    age(Attempt, "submit_called_at", seconds=61)
    batch.submit_error = None
    healthy = uploaded_video(title="healthy")
    age(Tick, "started_at", seconds=15)
    tasks.submit_tick()
    assert [newest_attempt(video).state for video in (ambiguous, healthy)] == ["SUBMITTING", "SUBMITTED"]
    assert Tick.objects.get(name="submit").error_code == "BATCH_DENIED"
