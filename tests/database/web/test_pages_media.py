"""Serving published objects, with ranges as in RFC 9110, and nothing else."""

from __future__ import annotations

import uuid

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from tasks.models import Video
from tests.factories import uploaded_video

pytestmark = pytest.mark.django_db

VIDEO_ID = uuid.UUID(int=1)
KEY = f"published/{VIDEO_ID}/a-job/video-0000-f1-abc/720p.mp4"
CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)


@pytest.fixture(autouse=True)
def _published(_own_storage: None, db: None) -> None:
    Video.objects.bulk_create([Video(id=VIDEO_ID, title="v", source="sources/v.mp4")])
    default_storage.save(KEY, ContentFile(CONTENT))


def content_of(response: object) -> bytes:
    return b"".join(getattr(response, "streaming_content", [getattr(response, "content", b"")]))


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=-300", SIZE - 300, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=5000-999999999", 5000, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
        ("Bytes = 7-9", 7, 9),
    ],
)
def test_range_is_returned_exactly_when_it_is_requested(staff: Client, header: str, first: int, last: int) -> None:
    response = staff.get(f"/media/{KEY}", headers={"Range": header})
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response["Content-Length"] == str(last - first + 1)
    assert content_of(response) == CONTENT[first : last + 1]


@pytest.mark.parametrize(
    "header", ["", "bytes=0-9,20-29", "bytes=", "bytes=-", "bytes=9-3", "lines=1-2", "bytes=a-b", "bytes=+1-2", "0-9"]
)
def test_whole_object_is_returned_when_the_range_is_not_a_single_one(staff: Client, header: str) -> None:
    response = staff.get(f"/media/{KEY}", headers={"Range": header} if header else {})
    assert response.status_code == 200
    assert response["Accept-Ranges"] == "bytes"
    assert response["Content-Length"] == str(SIZE)
    assert "Content-Range" not in response
    assert content_of(response) == CONTENT


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 9}", "bytes=-0", "bytes=99999999999-"])
def test_range_is_rejected_with_the_size_when_it_is_outside(staff: Client, header: str) -> None:
    response = staff.get(f"/media/{KEY}", headers={"Range": header})
    assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert content_of(response) == b""


def test_head_returns_size_and_type_when_a_player_requests_it(staff: Client) -> None:
    response = staff.head(f"/media/{KEY}", headers={"Range": "bytes=0-9"})
    assert response.status_code == 200
    assert (response["Content-Length"], response["Content-Type"]) == (str(SIZE), "video/mp4")
    assert content_of(response) == b""


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("master.m3u8", "application/vnd.apple.mpegurl"),
        ("manifest.mpd", "application/dash+xml"),
        ("720p.mp4", "video/mp4"),
        ("poster.jpg", "image/jpeg"),
        ("thumbnails.vtt", "text/vtt"),
        ("manifest.json", "application/json"),
        ("page.html", "application/octet-stream"),
    ],
)
def test_content_type_is_safe_for_browsers_when_a_player_accepts_it(
    staff: Client, name: str, content_type: str
) -> None:
    default_storage.save(f"published/{VIDEO_ID}/types/{name}", ContentFile(b"content"))
    response = staff.get(f"/media/published/{VIDEO_ID}/types/{name}")
    assert response["Content-Type"] == content_type
    assert response["X-Content-Type-Options"] == "nosniff"
    assert content_of(response) == b"content"


def test_objects_are_cached_privately_for_a_year_when_they_are_served(staff: Client) -> None:
    response = staff.get(f"/media/{KEY}")
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    response.close()


def test_source_is_not_served_when_its_name_is_known(staff: Client) -> None:
    source = str(uploaded_video().source)
    assert default_storage.exists(source)
    for name in (
        source,
        f"published/../{source}",
        f"published/{VIDEO_ID}/../../{source}",
        f"published/%2e%2e/{source}",
    ):
        assert staff.get(f"/media/{name}").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "published/a-video",
        f"published/{VIDEO_ID}",
        f"published/{VIDEO_ID}/a-job",
        f"published/{VIDEO_ID}/nothing.mp4",
        f"published/{uuid.UUID(int=2)}/a-job/video-0000-f1-abc/720p.mp4",
        "published/",
        "published/../../../../etc/passwd",
        "published//etc/passwd",
        "published/..%2f..%2fetc/passwd",
        "published/a%00b",
        "published/..\\sources\\x",
        "/etc/passwd",
        "published/" + "x" * 5000,
        "published/nothing.mp4",
    ],
)
def test_other_files_are_not_served_when_names_are_crafted(staff: Client, name: str) -> None:
    assert staff.get(f"/media/{name}").status_code == 404


def test_object_is_not_served_when_signed_out_or_not_the_owner(client: Client, django_user_model: type) -> None:
    assert client.get(f"/media/{KEY}").status_code == 404
    client.force_login(django_user_model.objects.create_user("a student"))  # type: ignore[attr-defined]
    assert client.get(f"/media/{KEY}").status_code == 404


def test_object_is_rejected_with_405_when_it_is_posted_to(staff: Client) -> None:
    assert staff.post(f"/media/{KEY}").status_code == 405
