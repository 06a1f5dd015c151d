"""Progress of a job.

It never decreases within an attempt and never reaches 100 before the video can be played; the
remaining time is shown only when the speed is known.
"""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models.functions import Now

from tasks.conf import BridgeSettings
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AWAIT_PLAN_STAGE, AttemptEvent, JobEvent, UnitEvent, UnitKind
from tasks.models import Attempt, Job, Unit
from tasks.selectors.history.timeline import EVENT_LABELS, job_timeline
from tasks.selectors.progress import STAGE_LABELS, JobProgress, job_progress
from tasks.services.container_api.claim import Claim
from tasks.services.container_api.finish import finish_unit
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.container_api.publish import finished_units, redo_units
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks import alerts as waiting
from tests.factories import (
    age,
    claimed,
    finished_media,
    leased,
    newest_attempt,
    planned,
    published,
    submitted_attempt,
    uploaded_video,
)

pytestmark = pytest.mark.django_db


def test_every_stage_has_a_label_when_one_is_added() -> None:
    assert set(STAGE_LABELS) == {*BridgeSettings().stage_limits_s, AWAIT_PLAN_STAGE}


def progress_of(job_id: object) -> JobProgress:
    job = Job.objects.get(pk=job_id)
    return job_progress([job])[job.pk]


def working(*, video_units: int = 2, audio: bool = False) -> Claim:
    claim = claimed(submitted_attempt(uploaded_video()))
    planned(claim, video_units=video_units, audio=audio)
    return claim


def report_progress(claim: Claim, encoded_frames: int, stage: str = "encode") -> JobProgress:
    send_heartbeat(claim, stage=stage, count=encoded_frames, encoded_frames=encoded_frames)
    return progress_of(claim.job_id)


def test_progress_includes_frames_in_flight_when_no_unit_is_done() -> None:
    claim = working()
    leased(claim)
    assert report_progress(claim, 30) == JobProgress(
        percent=25,
        stage_label="Encoding",
        units_done=0,
        units_total=2,
        attempt_number=1,
        containers=1,
        remaining_s=None,
    )


def test_progress_does_not_jump_when_a_unit_is_finished_between_heartbeats() -> None:
    claim = working()
    lease = leased(claim)
    seen = [report_progress(claim, 50).percent]
    finish_unit(claim, lease, output={"folder": "x", "media": {}})
    seen.append(progress_of(claim.job_id).percent)
    seen += [report_progress(claim, frames).percent for frames in (60, 61, 119)]
    assert seen == [41, 50, 50, 50, 99]


def test_progress_does_not_decrease_when_a_bad_unit_is_redone() -> None:
    claim = working()
    finished_media(claim)
    before = report_progress(claim, 120, "publish")
    bad = next(unit for unit in finished_units(claim.job_id) if (unit.kind, unit.index) == (UnitKind.VIDEO, 1))
    redo_units(claim, leased(claim), bad=[(bad, "damaged")])
    after = progress_of(claim.job_id)
    assert (before.percent, after.percent) == (99, 99)
    assert (before.units_done, after.units_done) == (2, 1)


def test_progress_keeps_only_finished_units_when_a_container_died() -> None:
    claim = working()
    finish_unit(claim, leased(claim), output={"folder": "x", "media": {}})
    leased(claim)
    assert report_progress(claim, 100).percent == 83
    attempt = read_attempt(lock_job(claim.job_id), claim.number)
    end_attempt(attempt, AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    waiting = progress_of(claim.job_id)
    assert (waiting.percent, waiting.stage_label) == (50, "Interrupted; continues automatically")
    age(Job, "next_attempt_at", seconds=601)
    second = submitted_attempt(Job.objects.get(pk=claim.job_id).video)
    assert progress_of(claim.job_id).stage_label == "Waiting for a machine"
    claimed(second)
    assert (progress_of(claim.job_id).percent, progress_of(claim.job_id).attempt_number) == (50, 2)


def test_progress_stays_below_100_when_the_video_is_not_yet_playable() -> None:
    claim = working()
    finished_media(claim)
    assert report_progress(claim, 120, "publish").percent == 99
    video = published()
    assert progress_of(video.published_job_id).percent == 100


def test_progress_includes_all_containers_when_several_help() -> None:
    claim = working(video_units=4)
    leased(claim)
    Attempt.objects.create(
        job_id=claim.job_id, number=2, state="RUNNING", vcpus=1, memory_mib=1, timeout_s=3600, batch_job_name="second",
        heartbeat_at=Now(), claimed_at=Now(), encoded_frames=60,
    )  # fmt: skip
    assert report_progress(claim, 60).percent == 50


def test_remaining_time_is_shown_only_when_the_speed_is_known() -> None:
    claim = working()
    leased(claim)
    assert report_progress(claim, 60).remaining_s is None
    Attempt.objects.update(claimed_at=Now() - timedelta(seconds=90))
    Unit.objects.filter(kind="plan").update(done_at=Now() - timedelta(seconds=30))
    # 60 of 120 frames in the 30 s since the plan, so 30 s more.
    assert progress_of(claim.job_id).remaining_s == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("batch_status", "label"),
    [("", "Waiting for a machine"), ("RUNNABLE", "Waiting for a machine"), ("STARTING", "Starting a machine")],
)
def test_progress_shows_what_a_job_waits_for_when_no_container_runs(batch_status: str, label: str) -> None:
    video = uploaded_video()
    assert progress_of(video.jobs.get().pk).stage_label == "Waiting in the queue"
    submitted_attempt(video)
    Attempt.objects.filter(pk=newest_attempt(video).pk).update(batch_status=batch_status)
    assert progress_of(video.jobs.get().pk).stage_label == label


def test_progress_is_zero_when_there_is_no_plan_or_it_has_no_frames() -> None:
    claim = claimed(submitted_attempt(uploaded_video()))
    assert progress_of(claim.job_id) == JobProgress(
        percent=0, stage_label="Getting ready", attempt_number=1, containers=1
    )
    planned(claim, video_units=1, audio=False)
    Unit.objects.update(weight_frames=0)
    assert progress_of(claim.job_id).percent == 0


def test_every_event_has_a_label_when_one_is_added() -> None:
    kinds = {str(event) for events in (JobEvent, AttemptEvent, UnitEvent) for event in events}
    calls = [
        node
        for path in (Path(settings.BASE_DIR) / "tasks" / "services").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "append_event"
    ]
    kinds |= {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)} | {waiting.EVENT}
    assert "purge.failed" in kinds
    assert kinds <= set(EVENT_LABELS)


def test_timeline_shows_the_reason_once_when_a_container_exits() -> None:
    claim = working()
    leased(claim)
    attempt = read_attempt(lock_job(claim.job_id), claim.number)
    text = f"{Reason.EXIT_CODE.message} AWS: Essential container in task exited; exit code 137"
    end_attempt(attempt, AttemptEvent.FAIL, reason=Reason.EXIT_CODE, text=text)
    details = {entry.kind: entry.details for entry in job_timeline(claim.job_id)}
    assert details[AttemptEvent.FAIL] == (
        "RUNNING → FAILED; The container exited with an error; AWS: Essential container in task exited; exit code 137."
        " Units in progress: video 0."
    )
