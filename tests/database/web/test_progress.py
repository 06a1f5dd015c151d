"""How far a job is: never back within an attempt, never 100 before it can be played, and never a guess too early."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models.functions import Now

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, JobEvent, UnitEvent, UnitKind
from tasks.models import Attempt, Job, Unit
from tasks.selectors.progress import JobProgress, job_progress
from tasks.selectors.timeline import EVENT_LABELS
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


def progress_of(job_id: object) -> JobProgress:
    job = Job.objects.get(pk=job_id)
    return job_progress([job])[job.pk]


def working(*, video_units: int = 2, audio: bool = False) -> Claim:
    claim = claimed(submitted_attempt(uploaded_video()))
    planned(claim, video_units=video_units, audio=audio)
    return claim


def says(claim: Claim, encoded_frames: int, stage: str = "encode") -> JobProgress:
    send_heartbeat(claim, stage=stage, count=encoded_frames, encoded_frames=encoded_frames)
    return progress_of(claim.job_id)


def test_progress_counts_what_is_in_flight_when_no_unit_is_done() -> None:
    claim = working()
    leased(claim)
    assert says(claim, 30) == JobProgress(
        percent=25, stage_label="Encoding", units_done=0, units_total=2, attempt_number=1, remaining_s=None
    )


def test_progress_does_not_jump_when_a_unit_is_finished_between_heartbeats() -> None:
    claim = working()
    lease = leased(claim)
    seen = [says(claim, 50).percent]
    finish_unit(claim, lease, output={"folder": "x", "media": {}})
    seen.append(progress_of(claim.job_id).percent)
    seen += [says(claim, frames).percent for frames in (60, 61, 119)]
    assert seen == [41, 50, 50, 50, 99]


def test_progress_never_shrinks_within_an_attempt_when_a_bad_unit_is_done_again() -> None:
    claim = working()
    finished_media(claim)
    before = says(claim, 120, "publish")
    bad = next(unit for unit in finished_units(claim.job_id) if (unit.kind, unit.index) == (UnitKind.VIDEO, 1))
    redo_units(claim, leased(claim), bad=[(bad, "damaged")])
    after = progress_of(claim.job_id)
    assert (before.percent, after.percent) == (99, 99)
    assert (before.units_done, after.units_done) == (2, 1)


def test_progress_keeps_finished_units_and_drops_what_was_in_flight_when_a_container_died() -> None:
    claim = working()
    finish_unit(claim, leased(claim), output={"folder": "x", "media": {}})
    leased(claim)
    assert says(claim, 100).percent == 83
    attempt = read_attempt(lock_job(claim.job_id), claim.number)
    end_attempt(attempt, AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    waiting = progress_of(claim.job_id)
    assert (waiting.percent, waiting.stage_label) == (50, "Interrupted; it goes on by itself")
    age(Job, "next_attempt_at", seconds=601)
    second = submitted_attempt(Job.objects.get(pk=claim.job_id).video)
    assert progress_of(claim.job_id).stage_label == "Waiting for a machine"
    claimed(second)
    assert (progress_of(claim.job_id).percent, progress_of(claim.job_id).attempt_number) == (50, 2)


def test_progress_stays_below_100_until_the_video_can_be_played() -> None:
    claim = working()
    finished_media(claim)
    assert says(claim, 120, "publish").percent == 99
    video = published()
    assert progress_of(video.published_job_id).percent == 100


def test_work_of_all_containers_counts_when_several_help() -> None:
    claim = working(video_units=4)
    leased(claim)
    Attempt.objects.create(
        job_id=claim.job_id, number=2, state="RUNNING", vcpus=1, memory_mib=1, batch_job_name="second",
        heartbeat_at=Now(), claimed_at=Now(), encoded_frames=60,
    )  # fmt: skip
    assert says(claim, 60).percent == 50


def test_end_is_foretold_only_when_the_speed_is_known() -> None:
    claim = working()
    leased(claim)
    assert says(claim, 60).remaining_s is None
    Attempt.objects.update(claimed_at=Now() - timedelta(seconds=30))
    # 60 of 120 frames in 30 s, so 30 s more.
    assert progress_of(claim.job_id).remaining_s == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("batch_status", "words"),
    [("", "Waiting for a machine"), ("RUNNABLE", "Waiting for a machine"), ("STARTING", "A machine is starting")],
)
def test_people_read_what_is_waited_for_before_a_container_runs(batch_status: str, words: str) -> None:
    video = uploaded_video()
    assert progress_of(video.jobs.get().pk).stage_label == "Waiting for its turn"
    submitted_attempt(video)
    Attempt.objects.filter(pk=newest_attempt(video).pk).update(batch_status=batch_status)
    assert progress_of(video.jobs.get().pk).stage_label == words


def test_progress_is_zero_when_there_is_no_plan_or_it_has_no_frames() -> None:
    claim = claimed(submitted_attempt(uploaded_video()))
    assert progress_of(claim.job_id) == JobProgress(percent=0, stage_label="Getting ready", attempt_number=1)
    planned(claim, video_units=1, audio=False)
    Unit.objects.update(weight_frames=0)
    assert progress_of(claim.job_id).percent == 0


def test_every_event_has_words_when_one_is_added() -> None:
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
