"""A probe that crashes: the container records a suspicion, and the third one on the same machine rejects the file."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Attempt, Job
from tests.factories import age, newest_attempt, submitted_attempt
from tests.integration.pipeline_videos import upload
from tests.polling import wait_for
from tests.processes import children_of

if TYPE_CHECKING:
    from tests.integration.container_processes import Run

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


def test_file_is_published_when_the_probe_crashed_once(run: Run, short_clip: Path) -> None:
    video = upload(short_clip)
    container = run(submitted_attempt(video))
    _crash_probe(container.pid)
    assert container.wait()[0] == ExitCode.FAILED
    age(Job, "next_attempt_at", seconds=601)
    assert run(submitted_attempt(video)).wait(limit_s=120)[0] == ExitCode.DONE
    assert Job.objects.get().state == "SUCCEEDED"
