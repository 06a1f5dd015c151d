"""What may be the machine's fault: a crash or a missing source is a suspicion, which the third container confirms."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Attempt, Job
from tests.factories import age, newest_attempt, submitted_attempt
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.pipeline_videos import upload
from tests.polling import wait_for
from tests.processes import children_of

if TYPE_CHECKING:
    from tests.integration.container_processes import EncoderBrake, Run

pytestmark = pytest.mark.usefixtures("fast_settings")

MACHINE_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _crash_probe(container: int) -> None:
    """Send SIGSEGV to the probe's process as soon as there is one."""

    def crash() -> bool:
        for child in children_of(container):
            with suppress(OSError):
                if b"probe.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(child, signal.SIGSEGV)
                    return True
        return False

    wait_for(crash, what=f"a probe below process {container}")


def test_file_is_rejected_by_the_third_container_when_each_probe_crashes(run: Run, short_clip: Path) -> None:
    video = upload(short_clip)
    codes = []
    for number in range(1, 4):
        container = run(submitted_attempt(video))
        _crash_probe(container.pid)
        code, lines = container.wait()
        codes.append((code, lines[-1]["text"].startswith("UNREADABLE: ")))
        attempt, job = newest_attempt(video), Job.objects.get()
        assert (attempt.number, attempt.machine_id) == (number, MACHINE_ID)
        if number < 3:
            assert (attempt.reason, attempt.error_code, job.state) == ("INPUT_SUSPECT", "UNREADABLE", "RETRY_WAIT")
            assert "export" not in job.reason_message
            age(Job, "next_attempt_at", seconds=601)
    assert codes == [(ExitCode.FAILED, True), (ExitCode.FAILED, True), (ExitCode.INPUT_REJECTED, True)]
    assert (job.state, job.reason) == ("FAILED", "UNREADABLE")
    assert "export the video again" in job.reason_message
    assert Attempt.objects.filter(counted=True).count() == 1


@pytest.mark.long
def test_file_is_published_when_the_probe_crashed_once(run: Run, short_clip: Path) -> None:
    video = upload(short_clip)
    container = run(submitted_attempt(video))
    _crash_probe(container.pid)
    assert container.wait()[0] == ExitCode.FAILED
    age(Job, "next_attempt_at", seconds=601)
    assert run(submitted_attempt(video)).wait(limit_s=120)[0] == ExitCode.DONE
    assert Job.objects.get().state == "SUCCEEDED"


@pytest.mark.long
def test_job_fails_when_each_container_of_the_only_machine_finds_no_source(run: Run, short_clip: Path) -> None:
    video = upload(short_clip)
    video.source.storage.delete(str(video.source))
    codes = []
    for _ in range(3):
        assert "Upload" not in Job.objects.get().reason_message
        codes.append(run(submitted_attempt(video)).wait()[0])
        age(Job, "next_attempt_at", seconds=601)
    assert codes == [ExitCode.FAILED, ExitCode.FAILED, ExitCode.INPUT_REJECTED]
    job = Job.objects.get()
    assert (job.state, job.reason) == ("FAILED", "SOURCE_MISSING")
    assert "Upload it again" in job.reason_message


@pytest.mark.long
def test_file_is_published_when_the_encoder_crashed_once(run: Run, short_clip: Path, brake: EncoderBrake) -> None:
    video = upload(short_clip)
    container = run(submitted_attempt(video), **brake.environment)
    encoder = brake.wait_for_encoder(container.pid)
    os.kill(encoder, signal.SIGSEGV)
    os.kill(encoder, signal.SIGCONT)
    assert container.wait()[0] == ExitCode.FAILED
    attempt = newest_attempt(video)
    assert (attempt.reason, attempt.error_code, attempt.counted) == ("INPUT_SUSPECT", "ENCODER_CRASHED", False)
    age(Job, "next_attempt_at", seconds=601)
    assert run(submitted_attempt(video)).wait(limit_s=120)[0] == ExitCode.DONE


def test_attempt_is_not_counted_when_no_folder_for_the_work_can_be_made(
    run: Run, short_clip: Path, tmp_path: Path
) -> None:
    video = upload(short_clip)
    code, _ = run(submitted_attempt(video), TMPDIR=str(tmp_path / "missing")).wait()
    attempt = newest_attempt(video)
    assert (code, attempt.reason, attempt.counted) == (ExitCode.FAILED, "DISK_FAILED", False)
    assert "missing" in attempt.reason_message


def test_container_keeps_its_place_until_sigterm_when_it_suspects_its_machine(run: Run, short_clip: Path) -> None:
    video = upload(short_clip)
    container = run(submitted_attempt(video), BATCHREEL=json.dumps({**FAST_SETTINGS, "machine_hold_s": 600}))
    _crash_probe(container.pid)
    wait_for(lambda: newest_attempt(video).reason == "INPUT_SUSPECT", what="the suspicion")
    assert Job.objects.get().state == "RETRY_WAIT", "the job waits for the machine"
    os.kill(container.pid, signal.SIGTERM)
    code, lines = container.wait(limit_s=10)
    assert (code, [line["event"] for line in lines[-2:]]) == (ExitCode.FAILED, ["MACHINE_HELD", "BATCH_JOB_FAILED"])


@pytest.mark.few(1)
@pytest.mark.parametrize("has_folder", [True, False], ids=["empty", "no folder"])
def test_container_holds_a_machine_when_the_uploads_are_not_mounted(
    has_folder: bool, run: Run, short_clip: Path, tmp_path: Path
) -> None:
    video = upload(short_clip)
    media = tmp_path / "media"
    if has_folder:
        media.mkdir()
    held = json.dumps({**FAST_SETTINGS, "machine_hold_s": 0.5})
    code, lines = run(submitted_attempt(video), BATCHREEL=held, MEDIA_ROOT=str(media)).wait()
    assert "MACHINE_HELD" in [line["event"] for line in lines]
    attempt = newest_attempt(video)
    assert (code, attempt.reason, attempt.counted) == (ExitCode.FAILED, "DISK_FAILED", False)
    assert "STORAGE_BUCKET" in attempt.reason_message
