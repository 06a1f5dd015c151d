"""A preview is shown until the ladder is published.

It never replaces a publication, and is pruned when viewers no longer watch it.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models.functions import Now

from tasks.container.context import STALE_PLAN
from tasks.container.units import preview as previewing
from tasks.lifecycle.errors import AttemptCancelledError, FencedError
from tasks.lifecycle.states import UnitKind
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.selectors.videos import video_overview
from tasks.services.container_api.claim import Claim, Lease, claim_attempt
from tasks.services.container_api.finish import PlannedUnit, finish_plan
from tasks.services.container_api.preview import publish_preview
from tasks.services.container_api.publish import publish
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_again
from tasks.services.ticks.reap import reap
from tasks.transcode import EncodeError
from tests.factories import (
    age,
    claimed,
    finished_media,
    leased,
    newest_attempt,
    published,
    submitted_attempt,
    uploaded_video,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from tests.factories import ScriptedBatch

pytestmark = pytest.mark.django_db

FRAMES = 120


def planned_with_preview(claim: Claim) -> None:
    lease = leased(claim)
    assert lease.kind is UnitKind.PLAN
    kinds = [(UnitKind.PREVIEW, 0), (UnitKind.VIDEO, FRAMES)]
    units = [
        PlannedUnit(kind=kind, index=0, first_frame=0, end_frame=FRAMES, weight_frames=weight) for kind, weight in kinds
    ]
    finish_plan(claim, lease, plan={"made": "by a test"}, units=units)


def preview_lease(video: Video) -> tuple[Claim, Lease]:
    """Return the claim and the preview unit's lease of a container of the video's job."""
    claim = claimed(submitted_attempt(video))
    planned_with_preview(claim)
    lease = leased(claim)
    assert lease.kind is UnitKind.PREVIEW, "it is the first unit after the plan"
    return claim, lease


def previewed(video: Video) -> tuple[Claim, Lease]:
    """Publish the preview of the video's job, which still runs."""
    claim, lease = preview_lease(video)
    store_and_publish_preview(claim, lease)
    video.refresh_from_db()
    return claim, lease


def store_and_publish_preview(claim: Claim, lease: Lease) -> None:
    key = default_storage.save(f"{lease.key_prefix}/master.m3u8", ContentFile(b"preview"))
    publish_preview(claim, lease, manifest={"objects": [], "level": 0}, playlist_key=key)


def finished(claim: Claim) -> None:
    """Finish the remaining units of the job."""
    finished_media(claim)
    lease = leased(claim)
    assert lease.kind is UnitKind.PUBLISH
    key = default_storage.save(f"{lease.key_prefix}/master.m3u8", ContentFile(b"ladder"))
    publish(claim, lease, manifest={"objects": []}, playlist_key=key, poster_key="")


def shown(video: Video) -> bytes:
    """Return what a viewer who opens the video now gets."""
    video.refresh_from_db()
    assert video.published_job is not None
    with default_storage.open(video.published_job.playlist_key) as file:
        return bytes(file.read())


def test_video_is_playable_and_processing_when_its_preview_is_published() -> None:
    video = uploaded_video()
    previewed(video)
    job = Job.objects.get(video=video)
    assert (job.state, job.level, video.published_job_id) == ("RUNNING", 0, job.pk)
    assert shown(video) == b"preview"
    overview = video_overview(video)
    assert (overview.status, overview.retry.possible) == ("PROCESSING", False)


def test_page_plays_and_labels_the_preview_when_there_is_no_ladder(admin_client: Client) -> None:
    video = uploaded_video()
    claim, lease = previewed(video)
    page = admin_client.get(f"/videos/{video.pk}/").content.decode()
    assert f"{lease.key_prefix}/master.m3u8" in page
    assert 'data-status="PROCESSING"' in page
    assert "This is a preview: the file as uploaded" in page
    finished(claim)
    page = admin_client.get(f"/videos/{video.pk}/").content.decode()
    assert f"{lease.key_prefix}/master.m3u8" not in page
    assert "This is a preview: the file as uploaded" not in page


def test_ladder_replaces_the_preview_when_it_is_published() -> None:
    video = uploaded_video()
    claim, _ = previewed(video)
    finished(claim)
    job = Job.objects.get(video=video)
    assert (job.state, job.level, shown(video)) == ("SUCCEEDED", 1, b"ladder")
    assert [event.kind for event in Event.objects.filter(kind__in=["job.preview", "job.publish"]).order_by("pk")] == [
        "job.preview",
        "job.publish",
    ]


def test_preview_is_recorded_once_when_its_response_was_lost() -> None:
    video = uploaded_video()
    claim, lease = previewed(video)
    before = Job.objects.values().get()
    publish_preview(claim, lease, manifest={"other": 1}, playlist_key="other")
    assert Job.objects.values().get() == before
    assert Event.objects.filter(kind="job.preview").count() == 1


def test_preview_is_not_planned_when_the_video_has_a_publication() -> None:
    video = published()
    request_again(video_id=video.pk)
    planned_with_preview(claimed(submitted_attempt(video)))
    assert not Unit.objects.filter(job__state="RUNNING", kind="preview").exists()


def test_preview_replaces_nothing_when_a_publication_came_first() -> None:
    video = uploaded_video()
    claim, lease = preview_lease(video)
    other = Job.objects.create(
        video=video,
        source_name="other",
        profile="other",
        state="CANCELLED",
        reason="x",
        automatic=False,
        next_attempt_at=None,
    )
    Video.objects.update(published_job=other)
    store_and_publish_preview(claim, lease)
    video.refresh_from_db()
    assert video.published_job_id == other.pk


def test_preview_is_not_published_when_the_video_was_deleted() -> None:
    video = uploaded_video()
    claim, lease = preview_lease(video)
    video.delete()
    with pytest.raises(AttemptCancelledError):
        store_and_publish_preview(claim, lease)
    assert not Event.objects.filter(kind="job.preview").exists()


def test_zombie_preview_changes_nothing_when_its_unit_was_leased_again() -> None:
    video = uploaded_video()
    zombie, late = preview_lease(video)
    attempt = newest_attempt(video)
    Attempt.objects.filter(pk=attempt.pk).update(state="LOST", reason="STALLED", ended_at=attempt.claimed_at)
    Job.objects.update(fence=2)
    second = Attempt.objects.create(
        job_id=zombie.job_id,
        number=2,
        state="SUBMITTED",
        batch_job_name="second",
        batch_job_id="second",
        vcpus=1,
        memory_mib=1,
    )
    winner = claim_attempt(job_id=second.job_id, number=2, batch_job_id="second", claim_id=uuid.uuid4())
    lease = leased(winner)
    assert (lease.kind, lease.fence) == (UnitKind.PREVIEW, 2)
    with pytest.raises(FencedError):
        store_and_publish_preview(zombie, late)
    assert Job.objects.get().level is None
    store_and_publish_preview(winner, lease)
    assert shown(video) == b"preview"


def test_publishing_does_not_wait_when_another_container_has_the_preview() -> None:
    video = uploaded_video()
    claim, lease = preview_lease(video)
    finished(claim)
    # The late preview changes nothing.
    store_and_publish_preview(claim, lease)
    assert (Job.objects.get().level, shown(video)) == (1, b"ladder")


def age_ended_jobs() -> None:
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)


def test_preview_is_kept_for_viewers_when_the_ladder_is_published(batch: ScriptedBatch) -> None:
    Tick.objects.get_or_create(name="reap")
    video = uploaded_video()
    claim, lease = previewed(video)
    finished(claim)
    Attempt.objects.update(batch_status="SUCCEEDED")
    reap(batch=batch)
    assert default_storage.exists(f"{lease.key_prefix}/master.m3u8")
    age_ended_jobs()
    reap(batch=batch)
    assert not default_storage.exists(f"{lease.key_prefix}/master.m3u8")
    assert shown(video) == b"ladder"


def end_dead(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state="DEAD", reason="ATTEMPTS_EXHAUSTED", finished_at=Now())
    Attempt.objects.filter(job=job).update(state="FAILED", reason="EXIT_CODE", counted=True, ended_at=Now())


@pytest.mark.parametrize("end", [lambda job: cancel_job(job_id=job.pk), end_dead], ids=["cancelled", "dead"])
def test_preview_of_an_ended_job_is_kept_for_viewers_when_it_is_replaced(
    end: Callable[[Job], object], batch: ScriptedBatch
) -> None:
    Tick.objects.get_or_create(name="reap")
    video = uploaded_video()
    previewed(video)
    first = Job.objects.get(video=video)
    end(first)
    age_ended_jobs()
    reap(batch=batch)
    assert shown(video) == b"preview"
    request_again(video_id=video.pk)
    claim = claimed(submitted_attempt(video))
    planned_with_preview(claim)
    finished(claim)
    assert shown(video) == b"ladder"
    Attempt.objects.update(batch_status="SUCCEEDED")
    reap(batch=batch)
    assert default_storage.exists(first.playlist_key), "viewers may still watch it"
    age_ended_jobs()
    reap(batch=batch)
    assert not default_storage.exists(first.playlist_key)


@pytest.mark.parametrize("code", sorted(STALE_PLAN))
def test_preview_error_is_raised_when_the_plan_is_from_another_engine(
    code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another slot replans, which deletes this unit: whatever finished it would be fenced."""

    def refuse(*_: object) -> None:
        raise EncodeError(code=code, message="another engine")

    monkeypatch.setattr(previewing, "_make", refuse)
    context: Any = SimpleNamespace(source=lambda _: None)
    with pytest.raises(EncodeError):
        previewing.run_preview(context, SimpleNamespace(), 0, tmp_path)  # type: ignore[arg-type] # neither is touched
