"""The outbox has an event for each change that receivers should learn of, and none for what was rolled back."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import JobEvent, UnitKind
from tasks.models import Job, OutboxEvent, OutboxSequence, Video
from tasks.services.container_api.finish import PlannedUnit, finish_plan, finish_unit, reject_input
from tasks.services.container_api.publish import publish
from tasks.services.outbox.announce import announce_deletion
from tasks.services.removal.purge import purge_deleted
from tasks.services.requests.request import request_again, revive
from tasks.services.state.locking import lock_job
from tasks.services.state.transition import transition
from tasks.services.ticks.grant import _mark_dead
from tasks.transcode import PLAN_VERSION
from tests.factories import (
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


def events(video: Video | None = None) -> list[tuple[str, int]]:
    rows = OutboxEvent.objects.filter(video_id=video.pk) if video else OutboxEvent.objects.all()
    return list(rows.order_by("id").values_list("kind", "sequence"))


def payload(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = OutboxEvent.objects.get(kind=kind).payload
    return found


def rejected(video: Video) -> None:
    claim = claimed(submitted_attempt(video))
    reject_input(claim, code="NOT_A_VIDEO", message="This is a text.", exit_code=20)


def test_video_is_playable_then_published_when_nothing_could_be_watched_before() -> None:
    video = published()
    assert events() == [("video.playable", 1), ("video.published", 2)]
    job = Job.objects.get()
    about = {"version": 1, "video_id": str(video.pk), "job_id": str(job.pk), "profile": "standard"}
    assert payload("video.playable") == {**about, "what": "published"}
    assert payload("video.published") == {
        **about,
        "playlist_key": job.playlist_key,
        "poster_key": "",
        "duration_s": 4.0,
    }
    first, second = OutboxEvent.objects.order_by("id")
    assert first.event_id != second.event_id
    assert first.created_at <= second.created_at


def test_video_is_playable_once_when_its_source_plays_directly() -> None:
    claim = claimed(submitted_attempt())
    planned(claim, plays_directly=True)
    assert events() == [("video.playable", 1)]
    assert payload("video.playable")["what"] == "source"
    finished_media(claim)
    lease = leased(claim)
    publish(claim, lease, playlist_key="p", poster_key="", duration_s=4.0)
    assert events() == [("video.playable", 1), ("video.published", 2)]


def test_video_is_playable_when_its_first_units_are_finished() -> None:
    claim = claimed(submitted_attempt())
    units = [
        *(
            PlannedUnit(kind=UnitKind.VIDEO, index=n, first_frame=60 * n, end_frame=60 * n + 60, weight_frames=60)
            for n in range(2)
        ),
        PlannedUnit(kind=UnitKind.AUDIO, index=0, first_frame=0, end_frame=120, weight_frames=6),
    ]
    finish_plan(
        claim,
        leased(claim),
        plan={"version": PLAN_VERSION},
        units=units,
        plays_directly=False,
        encode_cost_s=100.0,
        duration_s=4.0,
    )
    seen = []
    for _ in units:
        lease = leased(claim)
        finish_unit(claim, lease, output={"folder": lease.key_prefix, "media": {}})
        seen.append((lease.kind.value, lease.index, events()))
    finished = {(kind, index) for kind, index, _ in seen}
    assert finished == {("video", 0), ("video", 1), ("audio", 0)}
    for place, (_, _, written) in enumerate(seen):
        done = {(kind, index) for kind, index, _ in seen[: place + 1]}
        assert written == ([("video.playable", 1)] if {("video", 0), ("audio", 0)} <= done else []), seen
    assert payload("video.playable")["what"] == "growing"


def test_new_version_is_not_playable_again_when_the_video_is_published() -> None:
    video = published()
    request_again(video_id=video.pk)
    published(video)
    assert events() == [("video.playable", 1), ("video.published", 2), ("video.published", 3)]


def test_playable_is_written_once_per_file_when_its_first_job_failed() -> None:
    video = uploaded_video()
    claim = claimed(submitted_attempt(video))
    planned(claim, plays_directly=True)
    reject_input(claim, code="NOT_A_VIDEO", message="It is damaged.", exit_code=20)
    request_again(video_id=video.pk)
    claim = claimed(submitted_attempt(video))
    planned(claim, plays_directly=True)
    finished_media(claim)
    publish(claim, leased(claim), playlist_key="p", poster_key="", duration_s=4.0)
    assert events() == [("video.playable", 1), ("video.failed", 2), ("video.published", 3)]


def test_failure_has_reason_and_message_when_a_file_is_rejected() -> None:
    rejected(uploaded_video())
    assert events() == [("video.failed", 1)]
    found = payload("video.failed")
    assert (found["reason"], found["message"]) == ("NOT_A_VIDEO", "This is a text.")
    assert found["older_version_is_published"] is False


def test_failure_names_the_older_version_when_it_is_still_published() -> None:
    video = published()
    request_again(video_id=video.pk)
    rejected(video)
    assert payload("video.failed")["older_version_is_published"] is True


def test_failure_has_the_message_for_the_owner_when_a_job_is_dead() -> None:
    attempt = submitted_attempt()
    type(attempt).objects.update(
        state="FAILED", reason="EXIT_CODE", ended_at=Now(), counted=True, batch_status="FAILED"
    )
    Job.objects.update(state="RETRY_WAIT", next_attempt_at=Now())
    with transaction.atomic():
        _mark_dead(lock_job(attempt.job_id), Reason.ATTEMPTS_EXHAUSTED)
    found = payload("video.failed")
    assert found["reason"] == "ATTEMPTS_EXHAUSTED"
    assert found["message"] == Job.objects.get().reason_message != ""
    revive(job_id=attempt.job_id)
    assert events() == [("video.failed", 1)]


def test_deletion_is_the_last_event_when_a_video_is_deleted_twice() -> None:
    video = published()
    request_again(video_id=video.pk)
    video_id = video.pk
    video.delete()
    video.delete()
    assert [kind for kind, _ in events()] == ["video.playable", "video.published", "video.deleted"]
    assert payload("video.deleted") == {"version": 1, "video_id": str(video_id)}


def test_events_outlive_their_video_when_its_rows_are_purged() -> None:
    video = uploaded_video()
    video.delete()
    Job.objects.update(purged_at=None)
    assert purge_deleted(limit=10) == 1
    assert not Video.objects.exists()
    assert events() == [("video.deleted", 1)]
    assert not OutboxSequence.objects.exists()


def test_nothing_is_written_when_the_publication_is_rolled_back() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    finished_media(claim)
    lease = leased(claim)

    class CrashError(Exception):
        pass

    def publish_and_crash() -> None:
        with transaction.atomic():
            publish(claim, lease, playlist_key="p", poster_key="", duration_s=4.0)
            assert [kind for kind, _ in events()] == ["video.playable", "video.published"]
            raise CrashError

    with pytest.raises(CrashError):
        publish_and_crash()
    assert events() == []
    publish(claim, lease, playlist_key="p", poster_key="", duration_s=4.0)
    assert events() == [("video.playable", 1), ("video.published", 2)]
    publish(claim, lease, playlist_key="p", poster_key="", duration_s=4.0)
    assert len(events()) == 2


def test_event_is_refused_when_it_is_not_written_with_a_change() -> None:
    job = newest_attempt(published()).job
    OutboxEvent.objects.all().delete()
    with transaction.atomic():
        row = lock_job(job.pk)
        Job.objects.filter(pk=job.pk).update(state="RUNNING", finished_at=None)
        row.state = "RUNNING"
        transition(row, JobEvent.REJECT, reason="NOT_A_VIDEO", text="x", finished_at=Now())
    assert events() == [("video.failed", 3)]
    with pytest.raises(IntegrityError, match="one_outbox_event_per_number"):
        OutboxEvent.objects.create(kind="video.failed", video_id=job.video_id, sequence=3, payload={})


@pytest.mark.django_db(transaction=True)
def test_numbers_follow_commits_when_two_transactions_write_for_one_video() -> None:
    video_id = uuid.uuid4()
    with transaction.atomic():
        announce_deletion(video_id)
        with psycopg.connect(**_parameters(), autocommit=True) as other:
            other.execute("SET lock_timeout = 50")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(
                    "INSERT INTO batchreel_outboxsequence VALUES (%s, 1) ON CONFLICT (video_id) DO UPDATE SET last = 9",
                    [video_id],
                )
    with transaction.atomic():
        announce_deletion(video_id)
    assert [number for _, number in events()] == [1, 2]
    with pytest.raises(RuntimeError, match="transaction"):
        announce_deletion(video_id)


def _parameters() -> dict[str, Any]:
    parameters: dict[str, Any] = connection.get_connection_params()
    return {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
