"""A file is rejected only if two machines fail to read it, or several containers of the only one."""

from __future__ import annotations

import pytest

from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent
from tasks.models import Attempt, Event, Job, Video
from tasks.services.container_api.claim import Claim
from tasks.services.container_api.finish import finish_unit
from tasks.services.container_api.suspect import suspect_input
from tasks.services.requests.request import revive
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.submit import submit_due
from tests.factories import ScriptedBatch, age, claimed, leased, planned, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db

MESSAGE = "The file crashes the program reading it. Please export it again."


@pytest.fixture
def video() -> Video:
    return uploaded_video()


def _next_claim(video: Video, machine_id: str) -> Claim:
    age(Job, "next_attempt_at", seconds=601)
    return claimed(submitted_attempt(video), machine_id=machine_id)


def _suspects(video: Video, machine_id: str, code: str = "UNREADABLE") -> str:
    """Let a container of this machine fail to read the file, and return the job's state afterwards."""
    suspect_input(_next_claim(video, machine_id), code=code, message=MESSAGE)
    return Job.objects.get(video=video).state


def test_owner_gets_no_message_when_one_machine_failed_to_read_the_file(video: Video) -> None:
    assert _suspects(video, "a") == "RETRY_WAIT"
    attempt, job = Attempt.objects.get(), Job.objects.get()
    assert (attempt.state, attempt.reason, attempt.counted) == ("FAILED", "INPUT_SUSPECT", False)
    assert (attempt.error_code, attempt.exit_code) == ("UNREADABLE", ExitCode.FAILED)
    assert job.next_attempt_at is not None
    texts = [job.reason_message, attempt.reason_message, *Event.objects.values_list("text", flat=True)]
    assert not [text for text in texts if "export" in text or "crash" in text]


def test_job_fails_with_the_message_when_a_second_machine_agrees(video: Video) -> None:
    assert [_suspects(video, machine) for machine in ("a", "b")] == ["RETRY_WAIT", "FAILED"]
    job, attempt = Job.objects.get(), Attempt.objects.get(number=2)
    assert (job.reason, job.reason_message, job.next_attempt_at) == ("UNREADABLE", MESSAGE, None)
    assert (attempt.reason, attempt.counted, attempt.exit_code) == ("INPUT_REJECTED", True, ExitCode.INPUT_REJECTED)


def test_result_is_the_same_when_a_container_repeats_the_call(video: Video) -> None:
    codes = []
    for machine in ("a", "b"):
        claim = _next_claim(video, machine)
        codes.append([suspect_input(claim, code="UNREADABLE", message=MESSAGE) for _ in range(2)])
    assert codes == [[ExitCode.FAILED] * 2, [ExitCode.INPUT_REJECTED] * 2]
    events = Event.objects.values_list("kind", flat=True)
    assert (list(events).count("attempt.fail"), list(events).count("job.reject")) == (2, 1)


def test_job_continues_when_a_second_machine_reads_the_file(video: Video) -> None:
    _suspects(video, "a")
    planned(_next_claim(video, "b"))
    assert Job.objects.get().state == "RUNNING"


def test_job_is_retried_when_the_second_machine_fails_in_another_way(video: Video) -> None:
    states = [_suspects(video, "a", "UNREADABLE"), _suspects(video, "b", "TOO_DEMANDING")]
    assert states == ["RETRY_WAIT", "RETRY_WAIT"]
    assert _suspects(video, "c", "TOO_DEMANDING") == "FAILED"


def test_job_fails_when_three_containers_of_the_only_machine_agree(video: Video) -> None:
    assert [_suspects(video, "a") for _ in range(3)] == ["RETRY_WAIT", "RETRY_WAIT", "FAILED"]


def test_job_fails_when_three_containers_agree_and_no_machine_has_an_id(video: Video) -> None:
    assert [_suspects(video, "") for _ in range(3)] == ["RETRY_WAIT", "RETRY_WAIT", "FAILED"]


def test_one_machine_is_not_enough_when_another_one_has_worked_on_the_job(video: Video) -> None:
    lost = _next_claim(video, "b")
    end_attempt(read_attempt(lock_job(lost.job_id), lost.number), AttemptEvent.LOSE, reason=Reason.HOST_LOST)
    assert {_suspects(video, "a") for _ in range(4)} == {"RETRY_WAIT"}
    assert _suspects(video, "b") == "FAILED"


@pytest.mark.parametrize("other_ended", [False, True])
def test_one_machine_is_not_enough_when_another_one_works_on_other_jobs(video: Video, other_ended: bool) -> None:
    other = _next_claim(uploaded_video(title="Lecture 2"), "b")
    if other_ended:
        end_attempt(read_attempt(lock_job(other.job_id), other.number), AttemptEvent.LOSE, reason=Reason.HOST_LOST)
    else:
        age(Attempt, "claimed_at", seconds=7200)
    assert {_suspects(video, "a") for _ in range(4)} == {"RETRY_WAIT"}
    assert _suspects(video, "c") == "FAILED"


def test_machines_of_long_ago_do_not_matter_when_one_is_left(video: Video) -> None:
    other = _next_claim(uploaded_video(title="Lecture 2"), "before the restart")
    end_attempt(read_attempt(lock_job(other.job_id), other.number), AttemptEvent.LOSE, reason=Reason.HOST_LOST)
    age(Attempt, "claimed_at", seconds=3601)
    assert [_suspects(video, "a") for _ in range(3)] == ["RETRY_WAIT", "RETRY_WAIT", "FAILED"]


def test_suspicions_are_forgotten_when_the_job_is_revived(video: Video) -> None:
    _suspects(video, "a")
    Job.objects.update(state="DEAD", next_attempt_at=None)
    revive(job_id=Job.objects.get().pk)
    assert _suspects(video, "b") == "RETRY_WAIT"


def test_job_is_dead_when_its_machines_never_agree(video: Video, batch: ScriptedBatch) -> None:
    lost = _next_claim(video, "b")
    end_attempt(read_attempt(lock_job(lost.job_id), lost.number), AttemptEvent.LOSE, reason=Reason.HOST_LOST)
    for _ in range(19):
        _suspects(video, "a")
    age(Job, "next_attempt_at", seconds=601)
    submit_due(batch=batch)
    job = Job.objects.get()
    assert (job.state, job.reason, Attempt.objects.count()) == ("DEAD", "TOO_MANY_LOSSES", 20)


def _crashes(video: Video, machine_id: str, *, in_progress: int = 1) -> tuple[str, bool | None]:
    """Let the encoder of a container of this machine crash, and return the attempt's reason and whether it counts."""
    claim = _next_claim(video, machine_id)
    if not Job.objects.get(video=video).plan:
        planned(claim, audio=False)
    units = [leased(claim) for _ in range(in_progress)]
    unit = f"{units[-1].kind} {units[-1].index}"
    code = suspect_input(claim, code="ENCODER_CRASHED", message="ffmpeg crashed with signal 11.", crashed_unit=unit)
    assert code == ExitCode.FAILED
    attempt = Attempt.objects.get(pk=claim.attempt_id)
    assert (attempt.state, attempt.error_code) == ("FAILED", "ENCODER_CRASHED")
    return attempt.reason, attempt.counted


SUSPECTED, COUNTED = ("INPUT_SUSPECT", False), ("TRANSCODE_FAILED", True)


def test_attempt_is_not_counted_when_the_encoder_crashed_on_one_machine(video: Video) -> None:
    assert _crashes(video, "a") == SUSPECTED
    assert Job.objects.get().state == "RETRY_WAIT"
    assert not [text for text in Event.objects.values_list("text", flat=True) if "signal" in text]


def test_attempts_are_counted_when_the_same_unit_crashed_on_two_machines(video: Video, batch: ScriptedBatch) -> None:
    ends = [_crashes(video, machine) for machine in "abaab"]
    assert ends == [SUSPECTED, *[COUNTED] * 4]
    assert "ffmpeg crashed with signal 11" in Attempt.objects.get(number=2).reason_message
    _crashes(video, "c")
    age(Job, "next_attempt_at", seconds=601)
    submit_due(batch=batch)
    job = Job.objects.get()
    assert (job.state, job.reason) == ("DEAD", "ATTEMPTS_EXHAUSTED")
    assert "each the same way: the encoder crashed" in job.reason_message


def test_attempt_is_not_counted_when_another_unit_crashed_on_another_machine(video: Video) -> None:
    assert _crashes(video, "a") == SUSPECTED
    claim = _next_claim(video, "b")
    finish_unit(claim, leased(claim), output={})
    lost = read_attempt(lock_job(claim.job_id), claim.number)
    end_attempt(lost, AttemptEvent.LOSE, reason=Reason.HOST_LOST)
    assert _crashes(video, "b") == SUSPECTED


def test_crashes_of_the_only_machine_count_when_three_containers_agree(video: Video) -> None:
    assert [_crashes(video, "a") for _ in range(4)] == [SUSPECTED, SUSPECTED, COUNTED, COUNTED]


def test_suspicion_is_forgotten_when_memory_was_the_cause(video: Video) -> None:
    _suspects(video, "a")
    Attempt.objects.update(reason="OUT_OF_MEMORY")
    assert _suspects(video, "b") == "RETRY_WAIT"
