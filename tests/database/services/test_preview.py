"""A preview is shown while nothing better is; it never takes the place of anything, and goes when nobody watches it any more."""

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
from tasks.services.requests.request import request_by_person
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


def planned_with_remux(claim: Claim) -> None:
    lease = leased(claim)
    assert lease.kind is UnitKind.PLAN
    kinds = [(UnitKind.PREVIEW, 0), (UnitKind.VIDEO, FRAMES)]
    units = [
        PlannedUnit(kind=kind, index=0, first_frame=0, end_frame=FRAMES, weight_frames=weight) for kind, weight in kinds
    ]
    finish_plan(claim, lease, plan={"made": "by a test"}, units=units)


def remux_lease(video: Video) -> tuple[Claim, Lease]:
    """A container that holds the remux unit of the video's job."""
    claim = claimed(submitted_attempt(video))
    planned_with_remux(claim)
    lease = leased(claim)
    assert lease.kind is UnitKind.PREVIEW, "it is the first to be done after the plan"
    return claim, lease


def previewed(video: Video) -> tuple[Claim, Lease]:
    """A video whose job has published its preview, and still runs."""
    claim, lease = remux_lease(video)
    offer(claim, lease)
    video.refresh_from_db()
    return claim, lease


def offer(claim: Claim, lease: Lease) -> None:
    key = default_storage.save(f"{lease.key_prefix}/master.m3u8", ContentFile(b"preview"))
    publish_preview(claim, lease, manifest={"objects": [], "level": 0}, manifest_key=key)


def finished(claim: Claim) -> None:
    """Do the rest of the job."""
    finished_media(claim)
    lease = leased(claim)
    assert lease.kind is UnitKind.PUBLISH
    key = default_storage.save(f"{lease.key_prefix}/master.m3u8", ContentFile(b"ladder"))
    publish(claim, lease, manifest={"objects": []}, manifest_key=key, poster_key="")


def shown(video: Video) -> bytes:
    """What somebody who opens the video now gets."""
    video.refresh_from_db()
    assert video.published_job is not None
    with default_storage.open(video.published_job.manifest_key) as file:
        return bytes(file.read())


def test_video_is_watchable_and_still_in_work_when_its_preview_is_published() -> None:
    video = uploaded_video()
    previewed(video)
    job = Job.objects.get(video=video)
    assert (job.state, job.level, video.published_job_id) == ("RUNNING", 0, job.pk)
    assert shown(video) == b"preview"
    overview = video_overview(video)
    assert (overview.status, overview.retry.possible) == ("PROCESSING", False)


def test_page_plays_the_preview_and_says_that_it_is_one_when_there_is_nothing_better(admin_client: Client) -> None:
    video = uploaded_video()
    claim, lease = previewed(video)
    page = admin_client.get(f"/videos/{video.pk}/").content.decode()
    assert f"{lease.key_prefix}/master.m3u8" in page
    assert 'data-status="PROCESSING"' in page
    assert "This is the file as it was uploaded" in page
    finished(claim)
    page = admin_client.get(f"/videos/{video.pk}/").content.decode()
    assert f"{lease.key_prefix}/master.m3u8" not in page
    assert "This is the file as it was uploaded" not in page


def test_ladder_takes_the_previews_place_when_it_is_published() -> None:
    video = uploaded_video()
    claim, _ = previewed(video)
    finished(claim)
    job = Job.objects.get(video=video)
    assert (job.state, job.level, shown(video)) == ("SUCCEEDED", 1, b"ladder")
    assert [event.kind for event in Event.objects.filter(kind__in=["job.preview", "job.publish"]).order_by("pk")] == [
        "job.preview",
        "job.publish",
    ]


def test_preview_is_noted_once_when_its_answer_was_lost() -> None:
    video = uploaded_video()
    claim, lease = previewed(video)
    before = Job.objects.values().get()
    publish_preview(claim, lease, manifest={"other": 1}, manifest_key="other")
    assert Job.objects.values().get() == before
    assert Event.objects.filter(kind="job.preview").count() == 1


def test_no_preview_is_planned_when_the_video_shows_something_already() -> None:
    video = published()
    request_by_person(video_id=video.pk)
    planned_with_remux(claimed(submitted_attempt(video)))
    assert not Unit.objects.filter(job__state="RUNNING", kind="preview").exists()


def test_preview_replaces_nothing_when_something_was_published_meanwhile() -> None:
    video = uploaded_video()
    claim, lease = remux_lease(video)
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
    offer(claim, lease)
    video.refresh_from_db()
    assert video.published_job_id == other.pk


def test_nobody_is_shown_a_preview_when_the_video_was_deleted() -> None:
    video = uploaded_video()
    claim, lease = remux_lease(video)
    video.delete()
    with pytest.raises(AttemptCancelledError):
        offer(claim, lease)
    assert not Event.objects.filter(kind="job.preview").exists()


def test_preview_of_a_zombie_changes_nothing_when_its_unit_was_leased_again() -> None:
    video = uploaded_video()
    zombie, late = remux_lease(video)
    attempt = newest_attempt(video)
    Attempt.objects.filter(pk=attempt.pk).update(state="LOST", reason="STUCK", ended_at=attempt.claimed_at)
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
        offer(zombie, late)
    assert Job.objects.get().level is None
    offer(winner, lease)
    assert shown(video) == b"preview"


def test_publishing_does_not_wait_when_the_preview_is_still_in_other_hands() -> None:
    video = uploaded_video()
    claim, lease = remux_lease(video)
    finished(claim)
    # And coming late, it changes nothing.
    offer(claim, lease)
    assert (Job.objects.get().level, shown(video)) == (1, b"ladder")


def ended_long_ago() -> None:
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)


def test_viewers_keep_the_preview_for_a_while_when_the_ladder_is_published(batch: ScriptedBatch) -> None:
    Tick.objects.get_or_create(name="reap")
    video = uploaded_video()
    claim, lease = previewed(video)
    finished(claim)
    Attempt.objects.update(batch_status="SUCCEEDED")
    reap(batch=batch)
    assert default_storage.exists(f"{lease.key_prefix}/master.m3u8")
    ended_long_ago()
    reap(batch=batch)
    assert not default_storage.exists(f"{lease.key_prefix}/master.m3u8")
    assert shown(video) == b"ladder"


def end_dead(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state="DEAD", reason="ATTEMPTS_EXHAUSTED", finished_at=Now())
    Attempt.objects.filter(job=job).update(state="FAILED", reason="EXIT_CODE", counted=True, ended_at=Now())


@pytest.mark.parametrize("end", [lambda job: cancel_job(job_id=job.pk), end_dead], ids=["cancelled", "dead"])
def test_viewers_keep_the_preview_for_a_while_when_its_job_ended_and_something_else_is_shown(
    end: Callable[[Job], object], batch: ScriptedBatch
) -> None:
    Tick.objects.get_or_create(name="reap")
    video = uploaded_video()
    previewed(video)
    first = Job.objects.get(video=video)
    end(first)
    ended_long_ago()
    reap(batch=batch)
    assert shown(video) == b"preview"
    request_by_person(video_id=video.pk)
    claim = claimed(submitted_attempt(video))
    planned_with_remux(claim)
    finished(claim)
    assert shown(video) == b"ladder"
    Attempt.objects.update(batch_status="SUCCEEDED")
    reap(batch=batch)
    assert default_storage.exists(first.manifest_key), "viewers may be in the middle of it"
    ended_long_ago()
    reap(batch=batch)
    assert not default_storage.exists(first.manifest_key)


@pytest.mark.parametrize("code", sorted(STALE_PLAN))
def test_plan_is_made_anew_when_a_preview_meets_another_engines(
    code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its neighbour makes the plan anew, too, and with that this unit goes: whoever finished it here would be fenced."""

    def refuse(*_: object) -> None:
        raise EncodeError(code=code, message="another engine")

    monkeypatch.setattr(previewing, "_make", refuse)
    context: Any = SimpleNamespace(source=lambda _: None)
    with pytest.raises(EncodeError):
        previewing.do_preview(context, SimpleNamespace(), 0, tmp_path)  # type: ignore[arg-type] # neither is touched
