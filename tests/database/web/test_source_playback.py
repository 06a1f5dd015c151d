"""A source that browsers can play is offered as soon as the plan exists, until something is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.html import escape

from tasks.models import Event, Job, Video
from tasks.selectors.videos import video_overview
from tasks.services.container_api.finish import reject_input, replan
from tasks.services.container_api.publish import publish
from tasks.services.requests.request import request_again
from tests.factories import claimed, finished_media, leased, planned, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client

    from tasks.services.container_api.claim import Claim

pytestmark = pytest.mark.django_db

NOTE = "This is the file as uploaded"


def planned_claim(video: Video, *, plays_directly: bool = True) -> Claim:
    """Return the claim of a container that has finished the plan of the video's job."""
    claim = claimed(submitted_attempt(video))
    planned(claim, plays_directly=plays_directly)
    return claim


def finished(claim: Claim) -> None:
    finished_media(claim)
    lease = leased(claim)
    publish(claim, lease, duration_s=4.0, playlist_key=f"{lease.key_prefix}/master.m3u8", poster_key="")


def test_page_plays_the_source_when_nothing_is_published(staff: Client) -> None:
    video = uploaded_video()
    claim = planned_claim(video)
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert f'src="/videos/{video.pk}/source/"' in page
    assert NOTE in page
    assert 'data-status="PROCESSING"' in page
    assert 'data-watchable="source"' in page
    finished(claim)
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert f"/videos/{video.pk}/source/" not in page
    assert NOTE not in page
    assert f'data-watchable="{claim.job_id}"' in page


@pytest.mark.parametrize("plan_exists", [True, False], ids=["not playable", "not planned"])
def test_source_is_not_offered_when_it_was_not_shown_to_play(staff: Client, plan_exists: bool) -> None:
    video = uploaded_video()
    if plan_exists:
        planned_claim(video, plays_directly=False)
    assert "<video" not in staff.get(f"/videos/{video.pk}/").content.decode()
    assert staff.get(f"/videos/{video.pk}/source/").status_code == 404
    assert video_overview(video).watchable == ""


def test_source_is_still_offered_when_a_new_job_was_requested_for_it() -> None:
    video = uploaded_video()
    reject_input(planned_claim(video), code="UNREADABLE", message="The file ends early.", exit_code=20)
    assert video_overview(video).watchable == "source"
    request_again(video_id=video.pk)
    assert video_overview(video).watchable == "source"


def test_source_is_served_as_mp4_when_its_name_says_otherwise(staff: Client) -> None:
    video = uploaded_video()
    name = default_storage.save(f"sources/{video.pk}/version/page.html", ContentFile(b"0123456789"))
    Video.objects.filter(pk=video.pk).update(source=name)
    video.refresh_from_db()
    Job.objects.update(source_name=name)
    planned_claim(video)
    response = staff.get(f"/videos/{video.pk}/source/", headers={"Range": "bytes=2-4"})
    assert (response.status_code, b"".join(response.streaming_content)) == (206, b"234")  # type: ignore[attr-defined]
    assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("video/mp4", "nosniff")
    assert response["Cache-Control"] == "no-store"


def test_source_is_not_served_when_the_job_was_for_another_one(staff: Client) -> None:
    video = uploaded_video()
    planned_claim(video)
    replaced = default_storage.save(f"sources/{video.pk}/later/other.mp4", ContentFile(b"other"))
    Video.objects.filter(pk=video.pk).update(source=replaced)
    assert staff.get(f"/videos/{video.pk}/source/").status_code == 404
    video.refresh_from_db()
    assert video_overview(video).watchable == ""


def test_source_is_not_served_when_the_video_is_not_the_users(client: Client, django_user_model: type[User]) -> None:
    video = uploaded_video()
    planned_claim(video)
    assert client.get(f"/videos/{video.pk}/source/").status_code == 404
    client.force_login(django_user_model.objects.create_user("another lecturer"))
    assert client.get(f"/videos/{video.pk}/source/").status_code == 404


def test_source_is_not_served_when_the_video_was_deleted(staff: Client) -> None:
    video = uploaded_video()
    planned_claim(video)
    video.delete()
    assert staff.get(f"/videos/{video.pk}/source/").status_code == 404


def test_source_becomes_playable_once_when_the_job_is_planned_again(staff: Client) -> None:
    video = uploaded_video()
    claim = planned_claim(video)
    first = Job.objects.get().source_playable_at
    assert first is not None
    replan(claim, leased(claim), why="another engine")
    planned(claim, plays_directly=True)
    assert Job.objects.get().source_playable_at == first
    assert Event.objects.filter(kind="job.source_playable").count() == 1
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert escape("The uploaded file can already be watched") in page
