"""How a container exits: the exit code, the last event in its log, and its row, for each way to end."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Attempt, Event, Job, Unit
from tasks.services.container_api.publish import publish
from tasks.services.requests.cancel import cancel_job
from tests.factories import (
    age,
    claimed,
    finished_media,
    leased,
    newest_attempt,
    published,
    submitted_attempt,
)
from tests.integration.container_processes import encoder_pids
from tests.integration.pipeline_videos import lose_attempt, upload
from tests.media.clips import ffmpeg, make_clip
from tests.polling import wait_for
from tests.processes import is_alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.container_processes import ContainerRun, Run


@pytest.fixture(scope="session")
def endless_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a 480p clip repeated a hundred times: longer than any of these tests encodes."""
    folder = tmp_path_factory.mktemp("clips")
    once = make_clip(folder / "once.mp4", frames=30, size="854x480", codec=("-c:v", "libx264", "-bf", "0"))
    endless = folder / "endless.mp4"
    ffmpeg("-stream_loop", "99", "-i", str(once), "-c", "copy", str(endless))
    return endless


def rows() -> list[Any]:
    """Return all rows that containers may write."""
    return [list(model.objects.order_by("pk").values()) for model in (Job, Attempt, Unit, Event)]


def test_container_exits_with_job_not_found_when_there_is_no_row(run: Run) -> None:
    code, lines = run(Attempt(job_id=uuid.uuid4(), number=1)).wait()
    assert (code, lines[-1]["event"]) == (ExitCode.JOB_NOT_FOUND, "JOB_NOT_FOUND")


def test_lost_attempt_is_fenced_when_its_container_starts_late(run: Run) -> None:
    attempt = submitted_attempt()
    lose_attempt(attempt)
    assert_exits_unclaimed(run(attempt), ExitCode.FENCED, "BATCH_JOB_FENCED")


def test_attempt_is_not_claimed_when_another_container_has_it(run: Run) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    assert_exits_unclaimed(run(attempt), ExitCode.NOT_CLAIMABLE, "BATCH_JOB_NOT_CLAIMABLE")


def test_attempt_is_not_claimed_when_it_belongs_to_another_batch_job(run: Run) -> None:
    attempt = submitted_attempt()
    attempt.batch_job_id = "another Batch job"
    assert_exits_unclaimed(run(attempt), ExitCode.NOT_CLAIMABLE, "BATCH_JOB_NOT_CLAIMABLE")


def test_container_exits_when_its_job_was_cancelled_before_it_started(run: Run) -> None:
    attempt = submitted_attempt()
    cancel_job(job_id=attempt.job_id)
    assert_exits_unclaimed(run(attempt), ExitCode.CANCELLED, "BATCH_JOB_CANCELLED")


def test_container_exits_with_0_when_its_job_was_done_before_it_started(run: Run) -> None:
    attempt = newest_attempt(published())
    assert_exits_unclaimed(run(attempt), ExitCode.DONE, "IDEMPOTENT_DONE")


def assert_exits_unclaimed(container: ContainerRun, code: ExitCode, event: str) -> None:
    """Assert that the container exits with `code` and one log line, and has changed no row."""
    before = rows()
    exit_code, lines = container.wait()
    assert exit_code == code, lines
    assert [(line["event"], line["exit_code"]) for line in lines] == [(event, code)]
    assert rows() == before


def test_container_names_the_setting_when_it_is_unknown(run: Run) -> None:
    code, lines = run(submitted_attempt(), BATCHREEL='{"no_such_setting": 1}').wait()
    assert (code, lines[-1]["event"]) == (ExitCode.MISCONFIGURED, "BATCH_JOB_FAILED")
    assert "no_such_setting" in lines[-1]["text"]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://site:s3cr/et-w0rd@db:x5432/site"}, "DATABASE_URL"),
        ({"BATCHREEL": "{"}, "BATCHREEL"),
    ],
    ids=["no database", "an invalid URL", "invalid JSON"],
)
def test_container_names_the_variable_without_secrets_when_it_is_invalid(
    variables: dict[str, str], named: str, run: Run
) -> None:
    attempt = submitted_attempt()
    before = rows()
    code, lines = run(attempt, **variables).wait(limit_s=20)
    assert (code, {line["event"] for line in lines}) == (ExitCode.MISCONFIGURED, {"BATCH_JOB_FAILED"})
    assert named in lines[0]["text"]
    assert not any(secret in str(lines) for secret in ("s3cr", "w0rd", "x5432"))
    assert rows() == before


def wait_for_encoders(container: ContainerRun, attempt: Attempt) -> list[int]:
    """Wait until the container encodes, and return the process ids of its encoders."""
    units = Unit.objects.filter(job=attempt.job_id, kind="video", state="LEASED")
    wait_for(units.exists, what="a leased video unit")
    return wait_for(lambda: encoder_pids(container.pid), what="an encoder")


def test_encoder_ends_and_attempt_fails_when_the_container_gets_sigterm(run: Run, endless_clip: Path) -> None:
    attempt = submitted_attempt(upload(endless_clip))
    container = run(attempt)
    encoders = wait_for_encoders(container, attempt)
    os.kill(container.pid, signal.SIGTERM)
    code, lines = container.wait(limit_s=10)
    assert (code, lines[0]["event"]) == (ExitCode.TERMINATED, "BATCH_PROCESS_START")
    assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("BATCH_TERMINATED", ExitCode.TERMINATED)
    assert not any(is_alive(encoder) for encoder in encoders)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason, attempt.exit_code) == ("FAILED", "SIGTERM", ExitCode.TERMINATED)
    assert attempt.counted is None, "undecided until Batch reports why it was stopped"
    assert Job.objects.get(pk=attempt.job_id).state == "RETRY_WAIT"


def test_encoder_is_killed_when_the_job_is_cancelled_in_mid_encode(run: Run, endless_clip: Path) -> None:
    attempt = submitted_attempt(upload(endless_clip))
    container = run(attempt)
    encoders = wait_for_encoders(container, attempt)
    cancel_job(job_id=attempt.job_id)
    code, lines = container.wait(limit_s=10)
    assert (code, lines[-1]["event"]) == (ExitCode.CANCELLED, "BATCH_JOB_CANCELLED")
    assert not any(is_alive(encoder) for encoder in encoders)
    assert not Unit.objects.filter(job=attempt.job_id, kind="video", state="DONE").exists()


def test_late_container_exits_with_0_when_its_successor_has_published(run: Run, endless_clip: Path) -> None:
    video = upload(endless_clip)
    first = submitted_attempt(video)
    container = run(first)
    encoders = wait_for_encoders(container, first)
    for encoder in encoders:
        os.kill(encoder, signal.SIGSTOP)
    os.kill(container.pid, signal.SIGSTOP)
    lose_attempt(first)
    age(Job, "next_attempt_at", seconds=601)
    successor = claimed(submitted_attempt(video))
    finished_media(successor)
    lease = leased(successor)
    publish(successor, lease, duration_s=4.0, playlist_key=f"{lease.key_prefix}/master.m3u8", poster_key="")
    before = rows()

    os.kill(container.pid, signal.SIGCONT)
    code, lines = container.wait(limit_s=10)
    assert (code, lines[-1]["event"]) == (ExitCode.DONE, "IDEMPOTENT_READY")
    assert not any(is_alive(encoder) for encoder in encoders)
    assert rows() == before
