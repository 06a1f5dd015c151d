"""A container whose Spot machine EC2 takes back finishes what it holds, leases no more, and leaves."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db.models import F

from tasks.batch.events import parse_event
from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Attempt, Job, Unit
from tasks.services.events import apply_event
from tests.batch_events import spot_event
from tests.factories import claimed, helper_of, submitted_attempt
from tests.integration.pipeline_videos import upload
from tests.media.clips import make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.conf import BridgeSettings
    from tests.integration.container_processes import ContainerRun, EncoderBrake, Run

MACHINE = "i-0123456789abcdef0"


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two minutes of small video without audio: several units, but little work."""
    return make_clip(tmp_path_factory.mktemp("clips") / "long.mp4", frames=600, rate="5", size="160x90")


def take_back(attempt: Attempt) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(ec2_instance_id=MACHINE)
    event = parse_event(spot_event(MACHINE))
    assert event is not None
    assert apply_event(event)


def with_a_held_unit(run: Run, brake: EncoderBrake, clip: Path) -> tuple[Attempt, ContainerRun, int]:
    attempt = submitted_attempt(upload(clip))
    container = run(attempt, **brake.environment)
    encoder = brake.wait_for_encoder(container.pid)
    return attempt, container, encoder


def leave(attempt: Attempt, encoder: int, brake: EncoderBrake) -> int:
    """Take the machine back, let the container know, then let its unit in progress finish. Return the unit's index."""
    take_back(attempt)
    later = Attempt.objects.filter(pk=attempt.pk, heartbeat_at__gt=F("leaving_at") + timedelta(seconds=1))
    wait_for(later.exists, what="heartbeats after the warning")
    (held,) = Unit.objects.filter(job=attempt.job_id, state="LEASED").values_list("index", flat=True)
    brake.release()
    os.kill(encoder, signal.SIGCONT)
    return held


def test_container_leaves_uncounted_when_its_machine_is_taken_back(
    fast_settings: BridgeSettings, run: Run, brake: EncoderBrake, long_clip: Path
) -> None:
    attempt, container, encoder = with_a_held_unit(run, brake, long_clip)
    held = leave(attempt, encoder, brake)
    code, lines = container.wait()
    attempt.refresh_from_db()
    assert (code, attempt.state, attempt.reason) == (ExitCode.TERMINATED, "FAILED", "SPOT_INTERRUPTION")
    assert (attempt.counted, attempt.units_in_progress) == (False, [])
    assert "MACHINE_LEAVING" in [line["event"] for line in lines]
    units = Unit.objects.filter(job=attempt.job_id, kind="video")
    assert units.get(index=held).state == "DONE"
    assert units.filter(state="PENDING").exists()
    assert Job.objects.get(pk=attempt.job_id).state == "RETRY_WAIT"


def test_container_leaves_as_a_success_when_others_work_on_its_job(
    fast_settings: BridgeSettings, run: Run, brake: EncoderBrake, long_clip: Path
) -> None:
    attempt, container, encoder = with_a_held_unit(run, brake, long_clip)
    claimed(helper_of(attempt))
    leave(attempt, encoder, brake)
    code, _ = container.wait()
    attempt.refresh_from_db()
    assert (code, attempt.state, attempt.counted) == (ExitCode.DONE, "SUCCEEDED", False)
    assert Job.objects.get(pk=attempt.job_id).state == "RUNNING"
