"""A container that has to stop does not wait for its encoder, even if that would never finish."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Unit
from tasks.services.requests.cancel import cancel_job
from tests.factories import submitted_attempt
from tests.integration.container_processes import hold_encoder
from tests.integration.pipeline_videos import upload
from tests.media.clips import ffmpeg, make_clip
from tests.polling import wait_for
from tests.processes import is_alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.container_processes import Run


@pytest.fixture
def slow_clip(tmp_path: Path) -> Path:
    """Return a 480p clip repeated twenty times: it encodes for seconds, which leaves time to stop its encoder."""
    once = make_clip(tmp_path / "once.mp4", frames=30, size="854x480", codec=("-c:v", "libx264", "-bf", "0"))
    ffmpeg("-stream_loop", "19", "-i", str(once), "-c", "copy", str(tmp_path / "slow.mp4"))
    return tmp_path / "slow.mp4"


def test_hanging_encoder_is_killed_within_10_s_when_the_job_is_cancelled(run: Run, slow_clip: Path) -> None:
    attempt = submitted_attempt(upload(slow_clip))
    container = run(attempt)
    units = Unit.objects.filter(job=attempt.job_id, kind="video")
    wait_for(units.filter(state="LEASED").exists, what="a leased video unit")
    encoder = hold_encoder(container.pid)
    cancel_job(job_id=attempt.job_id)
    code, lines = container.wait(limit_s=10)
    assert (code, lines[-1]["event"]) == (ExitCode.CANCELLED, "BATCH_JOB_CANCELLED")
    assert not is_alive(encoder)
    assert not units.filter(state="DONE").exists()


def test_container_ends_with_its_exit_code_when_it_is_stopped_before_it_has_started(tmp_path: Path) -> None:
    # As process 1 of a container, it would otherwise ignore the signal.
    (tmp_path / "settings_that_hang.py").write_text("import signal\nprint(flush=True)\nsignal.pause()\n")
    with subprocess.Popen(
        [sys.executable, "-m", "tasks.container", str(uuid.uuid4()), "1"],
        cwd=settings.BASE_DIR,
        env={"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "settings_that_hang"},
        stdout=subprocess.PIPE,
    ) as container:
        try:
            assert container.stdout is not None
            assert container.stdout.readline() == b"\n"
            container.terminate()
            assert container.wait(timeout=10) == ExitCode.TERMINATED
        finally:
            container.kill()
