"""What a player requests next to the media: images for its seek bar, and where the person has stopped."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from tasks.models import Video, Visibility, WatchPosition
from tasks.services.removal.purge import purge_deleted
from tests.buckets import use_new_bucket
from tests.database.web.test_cdn_cookies import KEY, pem
from tests.factories import lecturer, published, uploaded_video
from tests.growing_job import GrowingJob

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

MAP = "WEBVTT\n\n00:00.000 --> 00:10.000\n../video-0/sprite.jpg#xywh=0,0,160,90\n"


def with_thumbnails() -> tuple[Video, str]:
    """Return a published video with a map of thumbnails, and the folder of its job."""
    video = published()
    assert video.published_job is not None
    folder = posixpath.dirname(video.published_job.playlist_key)
    manifest = json.dumps({"captions": [], "thumbnails": "thumbnails.vtt"})
    job = posixpath.dirname(folder)
    for name, content in {
        f"{folder}/manifest.json": manifest,
        f"{folder}/thumbnails.vtt": MAP,
        f"{job}/video-0/sprite.jpg": "image",
    }.items():
        default_storage.save(name, ContentFile(content.encode()))
    return video, job


def images(client: Client, video: Video) -> list[str]:
    """Return the URLs of images in the map that the page of a video names."""
    page = client.get(f"/videos/{video.pk}/").content.decode()
    (url,) = re.findall(r'data-thumbnails="(.+?)"', page)
    response = client.get(url)
    assert (response.status_code, response["Content-Type"]) == (200, "text/vtt")
    assert response["Cache-Control"] == "no-store", "the URLs in it expire"
    return re.findall(r"^(\S+)#xywh=0,0,160,90$", response.content.decode(), re.MULTILINE)


def test_images_of_the_seek_bar_are_on_the_site_when_the_storage_is_a_folder(staff: Client) -> None:
    video, job = with_thumbnails()
    assert images(staff, video) == [f"/media/{job}/video-0/sprite.jpg"]
    (url,) = images(staff, video)
    assert b"".join(staff.get(url)) == b"image"  # type: ignore[arg-type] # a streaming response is an iterable


def test_images_of_the_seek_bar_have_presigned_urls_when_the_bucket_is_private(
    staff: Client, settings: Settings
) -> None:
    use_new_bucket(settings)
    video, job = with_thumbnails()
    (url,) = images(staff, video)
    assert f"{job}/video-0/sprite.jpg?" in url
    with urlopen(url) as response:  # noqa: S310 - the local bucket
        assert response.read() == b"image"


def test_images_of_the_seek_bar_are_signed_when_the_cdn_requires_that(staff: Client, settings: Settings) -> None:
    video, job = with_thumbnails()
    settings.MEDIA_BASE_URL = "https://media.example.org/videos/"
    assert images(staff, video) == [f"https://media.example.org/videos/{job}/video-0/sprite.jpg"]
    settings.CDN_KEY_PAIR_ID, settings.CDN_PRIVATE_KEY = "K2EXAMPLE", pem(KEY)
    (url,) = images(staff, video)
    assert url.startswith(f"https://media.example.org/videos/{job}/video-0/sprite.jpg?")
    assert "Key-Pair-Id=K2EXAMPLE" in url


def test_map_is_missing_when_nothing_is_published(staff: Client) -> None:
    video = uploaded_video()
    response = staff.get(f"/videos/{video.pk}/thumbnails.vtt")
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
    other = published()
    assert staff.get(f"/videos/{other.pk}/thumbnails.vtt").status_code == 404, "its files are gone"


@pytest.fixture
def _kept(settings: Settings) -> None:
    settings.BATCHREEL = {"keep_watch_positions": True}


def keep(client: Client, video: Video, position_s: object) -> int:
    return client.post(f"/videos/{video.pk}/position/", {"position_s": position_s}).status_code


def long_video(duration_s: float = 1000.0) -> Video:
    video = published()
    assert video.published_job is not None
    video.published_job.duration_s = duration_s
    video.published_job.save(update_fields=["duration_s"])
    Video.objects.update(visibility=Visibility.SIGNED_IN)
    return video


@pytest.mark.usefixtures("_kept")
def test_person_continues_where_they_stopped_when_the_site_keeps_positions(staff: Client) -> None:
    video, other = long_video(), Client()
    other.force_login(lecturer())
    for position_s in (754.3, 754.5, 12.25):
        assert keep(staff, video, position_s) == 204
    (row,) = WatchPosition.objects.all()
    assert row.position_s == 12.25
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert f'data-position-url="/videos/{video.pk}/position/" data-position="12.25"' in page
    assert 'data-duration="1000.0"' in page
    assert 'data-position="0.0"' in other.get(f"/videos/{video.pk}/").content.decode(), "that of another person"
    assert keep(other, video, 100) == 204
    assert WatchPosition.objects.count() == 2


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize("position_s", [0, 9.9, 981, 1000])
def test_position_is_forgotten_when_the_video_has_just_begun_or_is_over(position_s: float, staff: Client) -> None:
    video = long_video()
    assert keep(staff, video, 980) == 204
    assert WatchPosition.objects.count() == 1
    assert keep(staff, video, position_s) == 204
    assert not WatchPosition.objects.exists()


@pytest.mark.usefixtures("_kept")
def test_position_is_kept_when_the_video_is_still_being_made(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    assert keep(staff, growing.video, 11) == 204
    assert 'data-position="11.0"' in staff.get(f"/videos/{growing.video.pk}/").content.decode()


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize("sent", ["", "abc", "-1", "nan", "inf", "1e999"])
def test_position_is_refused_when_it_is_no_number_of_seconds(sent: str, staff: Client) -> None:
    video = long_video()
    response = staff.post(f"/videos/{video.pk}/position/", {"position_s": sent})
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_POSITION")
    assert not WatchPosition.objects.exists()


def test_nothing_is_kept_when_the_setting_is_off_or_nobody_is_signed_in(
    staff: Client, client: Client, settings: Settings
) -> None:
    video = long_video()
    assert keep(staff, video, 100) == 404
    assert "data-position" not in staff.get(f"/videos/{video.pk}/").content.decode()
    settings.BATCHREEL = {"keep_watch_positions": True}
    Video.objects.update(visibility=Visibility.LINK)
    guest = Client()
    assert keep(guest, video, 100) == 404
    assert "data-position" not in guest.get(f"/videos/{video.pk}/").content.decode()
    Video.objects.update(visibility=Visibility.PRIVATE)
    stranger = Client()
    stranger.force_login(lecturer())
    assert keep(stranger, video, 100) == 404
    assert not WatchPosition.objects.exists()


@pytest.mark.usefixtures("_kept")
def test_position_needs_a_token_when_another_site_sends_it(admin_user: object) -> None:
    video = long_video()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)  # type: ignore[arg-type] # a user of the test database
    assert keep(browser, video, 100) == 403
    page = browser.get(f"/videos/{video.pk}/").content.decode()
    (token,) = re.findall(r'data-csrf="(\w+)"', page)
    sent = {"position_s": "100", "csrfmiddlewaretoken": token}
    assert browser.post(f"/videos/{video.pk}/position/", sent).status_code == 204


@pytest.mark.usefixtures("_kept")
def test_positions_are_removed_when_the_person_or_the_video_is(staff: Client) -> None:
    video, person, other = uploaded_video(), lecturer(), Client()
    Video.objects.update(visibility=Visibility.SIGNED_IN)
    other.force_login(person)
    assert keep(other, video, 100) == keep(staff, video, 200) == 204
    person.delete()
    (row,) = WatchPosition.objects.all()
    assert row.user == get_user_model().objects.get()
    video.delete()
    assert purge_deleted(limit=10) == 1
    assert not WatchPosition.objects.exists()
    assert not Video.objects.exists()
