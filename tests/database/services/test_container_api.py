"""Claiming, leasing, finishing and publishing: fenced, and idempotent after a lost response."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from django.core.files.base import ContentFile
from django.db.models.functions import Now

from tasks.lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, UnitKind
from tasks.models import Attempt, Event, Job, Unit, Video
from tasks.services.container_api.claim import (
    Claim,
    JobAlreadyDoneError,
    NotClaimableError,
    NothingToLease,
    claim_attempt,
    lease_unit,
)
from tasks.services.container_api.finish import (
    fail_attempt,
    finish_attempt,
    finish_plan,
    finish_unit,
    reject_input,
    replan,
)
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from tasks.services.container_api.publish import finished_units, publish, redo_units
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_again, revive
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tests.factories import (
    age,
    claimed,
    finished_media,
    helper_of,
    leased,
    newest_attempt,
    planned,
    published,
    submitted_attempt,
    uploaded_video,
)

pytestmark = pytest.mark.django_db


def _send_heartbeat(claim: Claim, count: int = 1) -> HeartbeatReply:
    return send_heartbeat(claim, stage="encode", count=count, encoded_frames=count)


def _lose(claim: Claim) -> None:
    """Declare the attempt dead, as the rescue tick does."""
    attempt = read_attempt(lock_job(claim.job_id), claim.number)
    end_attempt(attempt, AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)


def _next_claim(claim: Claim) -> Claim:
    age(Job, "next_attempt_at", seconds=601)
    return claimed(submitted_attempt(Job.objects.get(pk=claim.job_id).video))


def test_claim_is_idempotent_when_its_response_was_lost() -> None:
    attempt = submitted_attempt()
    claim_id = uuid.uuid4()
    claims = [
        claim_attempt(job_id=attempt.job_id, number=1, batch_job_id=attempt.batch_job_id, claim_id=claim_id)
        for _ in range(2)
    ]
    assert claims[0] == claims[1]
    assert Event.objects.filter(kind="attempt.claim").count() == 1


def test_attempt_has_one_container_when_two_batch_jobs_claim_it() -> None:
    attempt = submitted_attempt()
    with pytest.raises(NotClaimableError):
        claim_attempt(job_id=attempt.job_id, number=1, batch_job_id="orphan", claim_id=uuid.uuid4())
    claimed(attempt)
    with pytest.raises(NotClaimableError):
        claimed(attempt)


def test_claim_is_rejected_with_its_cause_when_nothing_is_claimable() -> None:
    video = published()
    attempt = newest_attempt(video)
    with pytest.raises(JobAlreadyDoneError):
        claimed(attempt)
    with pytest.raises(NotFoundError):
        claim_attempt(job_id=uuid.uuid4(), number=1, batch_job_id=None, claim_id=uuid.uuid4())
    with pytest.raises(NotFoundError):
        claim_attempt(job_id=attempt.job_id, number=9, batch_job_id=None, claim_id=uuid.uuid4())


def test_units_are_leased_in_order_when_one_container_claims_them() -> None:
    claim = claimed(submitted_attempt())
    assert lease_unit(claim, lease_id="x") is not None
    assert lease_unit(claim, lease_id="y") is NothingToLease.OWN_WORK_FIRST
    lease = leased_again(claim, "x")
    finish_plan(claim, lease, plan={}, units=[], plays_directly=False, encode_cost_s=100.0)
    assert leased(claim).kind is UnitKind.PUBLISH


def leased_again(claim: Claim, lease_id: str):  # type: ignore[no-untyped-def] # a Lease
    return lease_unit(claim, lease_id=lease_id)


def _next_units(claim: Claim, count: int) -> list[str]:
    leases = [leased(claim) for _ in range(count)]
    return [f"{lease.kind.value} {lease.index}" for lease in leases]


def test_audio_that_needs_the_whole_source_goes_to_the_container_that_has_it_when_others_help() -> None:
    planner = claimed(submitted_attempt())
    planned(planner, video_units=4)
    Unit.objects.create(job_id=planner.job_id, kind="audio", index=1, first_frame=60, end_frame=120)
    helper = claimed(helper_of(planner))
    assert _next_units(helper, 3) == ["audio 0", "video 0", "video 1"]
    assert _next_units(planner, 2) == ["audio 1", "video 2"]
    Unit.objects.filter(kind="audio", index=1).update(state="PENDING", attempt=None)
    # It waits for nobody.
    assert _next_units(helper, 2) == ["video 3", "audio 1"]


def test_audio_is_leased_in_its_turn_when_the_container_that_made_the_plan_has_ended() -> None:
    planner = claimed(submitted_attempt())
    planned(planner)
    Unit.objects.create(job_id=planner.job_id, kind="audio", index=1, first_frame=60, end_frame=120)
    helper = claimed(helper_of(planner))
    _lose(planner)
    assert _next_units(helper, 4) == ["audio 0", "video 0", "audio 1", "video 1"]


def test_lease_names_the_plan_when_the_job_is_planned_again() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    before = leased(claim)
    replan(claim, before, why="another engine")
    planned(claim)
    assert (before.plan_fence, leased(claim).plan_fence) == (1, 2)


def test_unit_lease_is_idempotent_when_its_response_was_lost() -> None:
    claim = claimed(submitted_attempt())
    assert leased_again(claim, "mine") == leased_again(claim, "mine")


def test_finish_is_idempotent_when_its_response_was_lost() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    lease = leased(claim)
    finish_unit(claim, lease, output={"folder": "first", "media": {}})
    finish_unit(claim, lease, output={"folder": "second", "media": {}})
    assert Unit.objects.get(pk=lease.unit_id).output == {"folder": "first", "media": {}}
    assert Event.objects.filter(kind="unit.finish").count() == 2


def test_superseded_container_changes_nothing_when_it_wakes_late() -> None:
    zombie = claimed(submitted_attempt())
    planned(zombie)
    lease = leased(zombie)
    _lose(zombie)
    successor = _next_claim(zombie)
    new_lease = leased(successor)
    assert (new_lease.unit_id, new_lease.fence) == (lease.unit_id, lease.fence + 1)
    assert new_lease.key_prefix != lease.key_prefix
    rows = list(Unit.objects.order_by("pk").values())
    assert _send_heartbeat(zombie) is HeartbeatReply.FENCED
    with pytest.raises(FencedError):
        finish_unit(zombie, lease, output={"folder": "late", "media": {}})
    with pytest.raises(FencedError):
        lease_unit(zombie, lease_id="late")
    fail_attempt(zombie, reason=Reason.SIGTERM, text="late", exit_code=143)
    finish_attempt(zombie)
    refused = pytest.raises(FencedError)
    with refused:
        reject_input(zombie, code="NOT_A_VIDEO", message="late", exit_code=20)
    assert list(Unit.objects.order_by("pk").values()) == rows
    assert Job.objects.get(pk=zombie.job_id).state == "RUNNING"


def test_finished_units_are_kept_when_their_container_died() -> None:
    first = claimed(submitted_attempt())
    planned(first, video_units=3)
    done = leased(first)
    finish_unit(first, done, output={"folder": "kept", "media": {}})
    _lose(first)
    second = _next_claim(first)
    finished_media(second)
    kept = Unit.objects.get(pk=done.unit_id)
    assert (kept.fence, kept.attempt_id, kept.output) == (1, first.attempt_id, {"folder": "kept", "media": {}})


def test_video_is_published_in_one_step_when_all_units_are_verified() -> None:
    video = published()
    job = Job.objects.get(video=video)
    attempt = newest_attempt(video)
    assert (job.state, video.published_job_id) == ("SUCCEEDED", job.pk)
    assert (attempt.state, attempt.exit_code, attempt.counted) == ("SUCCEEDED", 0, False)


def test_publishing_is_idempotent_when_its_response_was_lost() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    finished_media(claim)
    lease = leased(claim)
    for key in ("first", "second"):
        publish(claim, lease, duration_s=4.0, playlist_key=key, poster_key="")
    assert Job.objects.get(pk=claim.job_id).playlist_key == "first"
    assert Event.objects.filter(kind="job.publish").count() == 1


def test_zombie_publishes_nothing_when_its_successor_has_leased_the_unit() -> None:
    zombie = claimed(submitted_attempt())
    planned(zombie)
    finished_media(zombie)
    late = leased(zombie)
    _lose(zombie)
    winner = _next_claim(zombie)
    lease = leased(winner)
    with pytest.raises(FencedError):
        publish(zombie, late, duration_s=4.0, playlist_key="late", poster_key="")
    publish(winner, lease, duration_s=4.0, playlist_key="winner", poster_key="")
    with pytest.raises(FencedError):
        publish(zombie, late, duration_s=4.0, playlist_key="late", poster_key="")
    assert Job.objects.get(pk=winner.job_id).playlist_key == "winner"


def test_pointer_never_moves_to_an_older_job_when_jobs_finish_out_of_order() -> None:
    video = uploaded_video()
    older = claimed(submitted_attempt(video))
    planned(older)
    finished_media(older)
    lease = leased(older)
    Video.objects.filter(pk=video.pk).update(published_job=_newer_succeeded(video))
    publish(older, lease, duration_s=4.0, playlist_key="older", poster_key="")
    video.refresh_from_db()
    assert video.published_job_id != older.job_id


def _newer_succeeded(video: Video) -> Job:
    return Job.objects.create(
        video=video,
        source_name="newer",
        profile="standard",
        state="SUCCEEDED",
        finished_at=Now(),
        playlist_key="newer",
        next_attempt_at=None,
    )


def test_old_publication_is_kept_when_a_new_job_fails() -> None:
    video = published()
    before = Job.objects.filter(pk=video.published_job_id).values().get()
    request_again(video_id=video.pk)
    claim = claimed(submitted_attempt(video))
    reject_input(claim, code="NOT_A_VIDEO", message="This is not a video.", exit_code=20)
    video.refresh_from_db()
    assert Job.objects.filter(pk=video.published_job_id).values().get() == before


def test_only_the_bad_unit_is_redone_when_verification_fails() -> None:
    claim = claimed(submitted_attempt())
    planned(claim, video_units=3)
    finished_media(claim)
    lease = leased(claim)
    bad = next(unit for unit in finished_units(claim.job_id) if (unit.kind, unit.index) == (UnitKind.VIDEO, 1))
    redo_units(claim, lease, bad=[(bad, "it is missing")])
    redo = leased(claim)
    assert (redo.kind, redo.index, redo.fence) == (UnitKind.VIDEO, 1, 2)
    finish_unit(claim, redo, output={"folder": "again", "media": {}})
    publishing = leased(claim)
    assert (publishing.kind, publishing.fence) == (UnitKind.PUBLISH, 2)
    with pytest.raises(FencedError):
        publish(claim, lease, duration_s=4.0, playlist_key="stale lease", poster_key="")
    publish(claim, publishing, duration_s=4.0, playlist_key="redone", poster_key="")


def test_job_is_planned_again_when_a_deployment_changed_the_engine() -> None:
    claim = claimed(submitted_attempt())
    planned(claim, video_units=3)
    slots = [leased(claim), leased(claim)]
    for lease in slots:
        replan(claim, lease, why="another engine")
    with pytest.raises(FencedError):
        finish_unit(claim, slots[0], output={"folder": "old plan", "media": {}})
    assert [unit.kind for unit in Unit.objects.all()] == ["plan"]
    assert Job.objects.get(pk=claim.job_id).plan is None
    planned(claim, video_units=2)
    finished_media(claim)
    assert leased(claim).kind is UnitKind.PUBLISH


def test_job_fails_with_its_cause_when_the_input_is_corrupt() -> None:
    claim = claimed(submitted_attempt())
    reject_input(claim, code="NOT_A_VIDEO", message="This file is not a video.", exit_code=20)
    job = Job.objects.get(pk=claim.job_id)
    attempt = Attempt.objects.get(pk=claim.attempt_id)
    assert (job.state, job.reason, job.reason_message) == ("FAILED", "NOT_A_VIDEO", "This file is not a video.")
    assert (attempt.state, attempt.reason, attempt.exit_code) == ("FAILED", Reason.INPUT_REJECTED, 20)
    assert job.next_attempt_at is None


def test_heartbeat_counts_as_progress_only_when_stage_or_count_changes() -> None:
    claim = claimed(submitted_attempt())
    assert _send_heartbeat(claim, 10) is HeartbeatReply.ALIVE
    age(Attempt, "heartbeat_at", "progressed_at", seconds=50)
    before = Attempt.objects.get(pk=claim.attempt_id)
    assert _send_heartbeat(claim, 10) is HeartbeatReply.ALIVE
    same = Attempt.objects.get(pk=claim.attempt_id)
    assert (same.progressed_at, same.count) == (before.progressed_at, 10)
    assert same.heartbeat_at > before.heartbeat_at
    assert _send_heartbeat(claim, 11) is HeartbeatReply.ALIVE
    assert Attempt.objects.get(pk=claim.attempt_id).progressed_at > before.progressed_at


def test_heartbeat_returns_cancelled_or_done_when_the_attempt_has_ended() -> None:
    cancelled = claimed(submitted_attempt())
    cancel_job(job_id=cancelled.job_id)
    assert _send_heartbeat(cancelled) is HeartbeatReply.CANCELLED
    with pytest.raises(AttemptCancelledError):
        lease_unit(cancelled, lease_id="x")
    video = published()
    winner = newest_attempt(video)
    assert winner.claim_id
    late = replace(cancelled, attempt_id=winner.pk, job_id=winner.job_id, claim_id=winner.claim_id)
    assert _send_heartbeat(late) is HeartbeatReply.DONE


def test_other_process_is_fenced_when_it_uses_the_same_attempt() -> None:
    claim = claimed(submitted_attempt())
    rival = replace(claim, claim_id=uuid.uuid4())
    assert _send_heartbeat(rival) is HeartbeatReply.FENCED
    with pytest.raises(FencedError):
        lease_unit(rival, lease_id="x")


def test_job_keeps_its_source_when_another_one_is_uploaded() -> None:
    video = uploaded_video()
    claim = claimed(submitted_attempt(video))
    name = claim.source_name
    video.source.save("other.mp4", ContentFile(b"other"))
    assert name != video.source.name
    assert Job.objects.get(pk=claim.job_id).source_name == name


def test_container_continues_when_the_other_one_has_died() -> None:
    first = claimed(submitted_attempt())
    planned(first, video_units=1, audio=False)
    leased(first)
    second = claimed(helper_of(first))
    assert lease_unit(second, lease_id="none") is NothingToLease.HELD_BY_OTHERS
    _lose(first)
    assert finish_attempt(second) is False
    assert leased(second).kind is UnitKind.VIDEO
    assert Job.objects.get(pk=first.job_id).state == "RUNNING"


def test_container_finishes_when_another_one_holds_the_remaining_units() -> None:
    first = claimed(submitted_attempt())
    planned(first, video_units=1, audio=False)
    leased(first)
    second = claimed(helper_of(first))
    assert finish_attempt(second) is True
    assert send_heartbeat(second, stage="encode", count=1, encoded_frames=1) is HeartbeatReply.DONE
    assert (Job.objects.get(pk=first.job_id).state, _send_heartbeat(first)) == ("RUNNING", HeartbeatReply.ALIVE)


def test_redone_unit_is_kept_when_a_verification_reports_late() -> None:
    claim = claimed(submitted_attempt())
    planned(claim, video_units=1, audio=False)
    finished_media(claim)
    (bad,) = finished_units(claim.job_id)
    redo_units(claim, leased(claim), bad=[(bad, "it is missing")])
    finish_unit(claim, leased(claim), output={"folder": "again", "media": {}})
    redo_units(claim, leased(claim), bad=[(bad, "it is missing")])
    assert Unit.objects.get(kind="video").state == "DONE"


def test_redo_count_ignores_leases_and_resets_when_the_job_is_revived() -> None:
    claim = claimed(submitted_attempt())
    planned(claim, video_units=1, audio=False)
    for _ in range(3):
        leased(claim)
        _lose(claim)
        claim = _next_claim(claim)
    finished_media(claim)
    (made,) = finished_units(claim.job_id)
    assert (made.fence, made.redo_count) == (4, 0)
    redo_units(claim, leased(claim), bad=[(made, "it is missing")])
    assert Unit.objects.get(kind="video").redo_count == 1
    Job.objects.filter(pk=claim.job_id).update(state="DEAD", reason=Reason.ATTEMPTS_EXHAUSTED)
    revive(job_id=claim.job_id)
    assert Unit.objects.get(kind="video").redo_count == 0
