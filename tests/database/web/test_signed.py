"""Playback from a private bucket.

The site serves playlists with presigned URLs, which work for a while without signing in.
"""

from __future__ import annotations

import gzip
import http.client
import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.conf import bridge_settings
from tasks.selectors.media_urls import media_url
from tasks.views.playlists.signed import sign
from tests.buckets import use_new_bucket
from tests.factories import uploaded_video

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

PLAYLIST = """#EXTM3U
#EXT-X-MAP:URI="../video-0/720p.mp4",BYTERANGE="800@0"
#EXTINF:6.000000,
#EXT-X-BYTERANGE:1000@800
../video-0/720p.mp4
#EXTINF:6.000000,
#EXT-X-BYTERANGE:1000@1800
../video-0/720p.mp4
#EXT-X-ENDLIST
"""
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1
720p.m3u8
"""
MPD = '<MPD><Initialization sourceURL="../v/720p.mp4" range="0-9"/><SegmentURL media="../v/720p.mp4"/><BaseURL>c.vtt</BaseURL></MPD>'
TILES = """WEBVTT

00:00.000 --> 00:10.000
../video-0/sprite.jpg#xywh=0,0,160,90

00:10.000 --> 00:20.000
../video-0/sprite.jpg#xywh=160,0,160,90
"""


def signed(text: str, name: str) -> str:
    return sign(text, key=f"published/v/job/publish/{name}", url_of=lambda key: f"https://b/{key}?a=1&b=2")


def test_only_media_urls_are_presigned_when_playlists_are_served() -> None:
    url = "https://b/published/v/job/video-0/720p.mp4?a=1&b=2"
    assert signed(PLAYLIST, "720p.m3u8") == PLAYLIST.replace("../video-0/720p.mp4", url)
    assert signed(MASTER, "master.m3u8") == MASTER
    assert signed(TILES, "thumbnails.vtt") == TILES.replace(
        "../video-0/sprite.jpg", "https://b/published/v/job/video-0/sprite.jpg?a=1&b=2"
    )
    mpd = signed(MPD, "manifest.mpd")
    assert mpd.count("https://b/published/v/job/v/720p.mp4?a=1&amp;b=2") == 2
    assert "<BaseURL>c.vtt</BaseURL>" in mpd


@pytest.mark.parametrize("name", ["thumbnails.vtt", "captions-0.vtt", "720p.m3u8", "manifest.mpd"])
@pytest.mark.parametrize(
    "other", ["../../other/p/poster.jpg", "../../../victim/job/p/poster.jpg", "../../../../sources/1.jpg"]
)
def test_urls_are_not_presigned_when_they_point_outside_the_job(name: str, other: str) -> None:
    text = {
        ".vtt": f"{other}#xywh=0,0,1,1",
        ".m3u8": f'#EXT-X-MAP:URI="{other}"\n{other}',
        ".mpd": f'<SegmentURL media="{other}"/><BaseURL>{other}</BaseURL>',
    }[posixpath.splitext(name)[1]]
    assert signed(text, name) == text
    assert signed("../p/own.jpg#xywh=0,0,1,1", "captions-0.vtt") == "../p/own.jpg#xywh=0,0,1,1"


@pytest.fixture
def folder(settings: Settings, _own_storage: None) -> str:
    """Folder of a publication in a private bucket."""
    use_new_bucket(settings)
    job = f"published/{uploaded_video().pk}/job"
    for name, content in {
        "publish/720p.m3u8": PLAYLIST,
        "publish/manifest.mpd": MPD,
        "publish/poster.jpg": "image",
        "publish/captions-0.vtt": "WEBVTT",
        "video-0/720p.mp4": "media",
    }.items():
        default_storage.save(f"{job}/{name}", ContentFile(content.encode()))
    return job


def get(url: str) -> tuple[int, bytes]:
    """Request a URL as a player does, without cookies or credentials."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_presigned_urls_of_a_playlist_work_when_the_bucket_is_private(staff: Client, folder: str) -> None:
    key = f"{folder}/publish/720p.m3u8"
    assert media_url(key) == f"/media/{key}"
    response = staff.get(media_url(key))
    assert response["Content-Type"] == "application/vnd.apple.mpegurl"
    # Presigned URLs expire with the role's credentials, so browsers must not cache them.
    assert response["Cache-Control"] == "no-store"
    (url,) = {line for line in response.content.decode().splitlines() if line.startswith("http")}
    assert get(url) == (200, b"media")
    assert get(url.partition("?")[0])[0] == 403, "the bucket is private"
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["21600"]
    assert f'URI="{url}"' in response.content.decode()


def test_images_redirect_to_the_bucket_when_a_page_requests_them(staff: Client, folder: str) -> None:
    response = staff.get(f"/media/{folder}/publish/poster.jpg")
    assert response.status_code == 302
    assert get(response["Location"]) == (200, b"image")


def test_captions_redirect_to_the_bucket_when_a_player_requests_them(staff: Client, folder: str) -> None:
    response = staff.get(f"/media/{folder}/publish/captions-0.vtt")
    assert response.status_code == 302
    assert get(response["Location"]) == (200, b"WEBVTT")
    # The storage may not know the type of such a file.
    assert parse_qs(urlsplit(response["Location"]).query)["response-content-type"] == ["text/vtt"]


def test_presigned_playlist_is_small_when_the_lecture_is_long(staff: Client, folder: str) -> None:
    lines = ["#EXTM3U", *(f"#EXTINF:6.0,\n../video-{n // 20:04}/720p.mp4" for n in range(1800)), "#EXT-X-ENDLIST", ""]
    default_storage.save(f"{folder}/publish/long.m3u8", ContentFile("\n".join(lines).encode()))
    response = staff.get(f"/media/{folder}/publish/long.m3u8", headers={"Accept-Encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"
    assert len(response.content) < 60_000


@pytest.mark.parametrize("name", ["720p.m3u8/../../../../x", "nothing.m3u8", "../../../sources/1.mp4"])
def test_names_are_not_found_when_they_lead_out_of_the_publication(name: str, staff: Client, folder: str) -> None:
    assert staff.get(f"/media/{folder}/publish/{name}").status_code == 404


def test_presigned_urls_stay_in_the_publication_when_an_mpd_is_served(staff: Client, folder: str) -> None:
    text: Any = staff.get(f"/media/{folder}/publish/manifest.mpd").content.decode()
    paths = [urlsplit(url).path for url in re.findall(r'"(http[^"]+)"', text)]
    assert len(paths) == 2
    assert all(
        posixpath.normpath(path).partition("/published/")[2].startswith(folder.partition("/")[2]) for path in paths
    )


def test_playlist_is_signed_once_when_many_viewers_request_it(
    staff: Client, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_texts = count_signed_texts(monkeypatch)
    url = media_url(f"{folder}/publish/720p.m3u8")
    plain = {staff.get(url).content for _ in range(3)}
    packed = staff.get(url, headers={"Accept-Encoding": "gzip"})
    assert {gzip.decompress(packed.content)} == plain
    assert (packed["Vary"], len(signed_texts)) == ("Accept-Encoding, Accept-Language, Cookie", 1)


def test_playlist_is_signed_again_when_half_of_the_lifetime_has_passed(
    staff: Client, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_texts = count_signed_texts(monkeypatch)
    url = media_url(f"{folder}/publish/720p.m3u8")
    half_s = bridge_settings().signed_url_ttl_s / 2
    for now_s in (10 * half_s, 11 * half_s - 1, 11 * half_s):
        monkeypatch.setattr("tasks.views.playlists.signed_texts.time.time", lambda now_s=now_s: now_s)
        assert staff.get(url).status_code == 200
    assert len(signed_texts) == 2


def test_playlist_is_signed_again_when_the_credentials_have_changed(
    staff: Client, folder: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    url = media_url(f"{folder}/publish/720p.m3u8")
    assert b"another-key" not in staff.get(url).content
    options = {**settings.STORAGES["default"]["OPTIONS"], "access_key": "another-key", "secret_key": "secret"}
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.STORAGES["default"], "OPTIONS": options}}
    assert b"another-key" in staff.get(url).content


def count_signed_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each text that is signed from now on is added."""
    texts: list[str] = []

    def counted(text: str, **options: Any) -> str:
        texts.append(text)
        return sign(text, **options)

    monkeypatch.setattr("tasks.views.playlists.signed_texts.sign", counted)
    return texts
