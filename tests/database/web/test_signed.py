"""Playing from a private bucket: playlists come from the site, with addresses for the media that work without signing in, for a while."""

from __future__ import annotations

import http.client
import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.selectors.media_urls import media_url
from tasks.views.signed import sign
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


def test_only_media_get_an_address_when_playlists_name_media_and_playlists() -> None:
    address = "https://b/published/v/job/video-0/720p.mp4?a=1&b=2"
    assert signed(PLAYLIST, "720p.m3u8") == PLAYLIST.replace("../video-0/720p.mp4", address)
    assert signed(MASTER, "master.m3u8") == MASTER
    assert signed(TILES, "thumbnails.vtt") == TILES.replace(
        "../video-0/sprite.jpg", "https://b/published/v/job/video-0/sprite.jpg?a=1&b=2"
    )
    whole = signed(MPD, "manifest.mpd")
    assert whole.count("https://b/published/v/job/v/720p.mp4?a=1&amp;b=2") == 2
    assert "<BaseURL>c.vtt</BaseURL>" in whole


@pytest.mark.parametrize("name", ["thumbnails.vtt", "captions-0.vtt", "720p.m3u8", "manifest.mpd"])
@pytest.mark.parametrize(
    "other", ["../../other/p/poster.jpg", "../../../victim/job/p/poster.jpg", "../../../../sources/1.jpg"]
)
def test_nothing_gets_an_address_when_a_text_names_what_lies_outside_its_job(name: str, other: str) -> None:
    text = {
        ".vtt": f"{other}#xywh=0,0,1,1",
        ".m3u8": f'#EXT-X-MAP:URI="{other}"\n{other}',
        ".mpd": f'<SegmentURL media="{other}"/><BaseURL>{other}</BaseURL>',
    }[posixpath.splitext(name)[1]]
    assert signed(text, name) == text
    assert signed("../p/own.jpg#xywh=0,0,1,1", "captions-0.vtt") == "../p/own.jpg#xywh=0,0,1,1"


@pytest.fixture
def folder(settings: Settings, _own_storage: None) -> str:
    """The folder of a publication in a private bucket."""
    use_new_bucket(settings)
    job = f"published/{uploaded_video().pk}/job"
    for name, content in {
        "publish/720p.m3u8": PLAYLIST,
        "publish/manifest.mpd": MPD,
        "publish/poster.jpg": "picture",
        "video-0/720p.mp4": "media",
    }.items():
        default_storage.save(f"{job}/{name}", ContentFile(content.encode()))
    return job


def get(url: str) -> tuple[int, bytes]:
    """What a player gets: no cookie, no credential."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        connection.request("GET", f"{address.path}?{address.query}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_media_are_played_from_a_private_bucket_by_the_addresses_in_a_playlist(staff: Client, folder: str) -> None:
    key = f"{folder}/publish/720p.m3u8"
    assert media_url(key) == f"/media/{key}"
    answer = staff.get(media_url(key))
    assert answer["Content-Type"] == "application/vnd.apple.mpegurl"
    # Where a role's credentials end, its addresses do: none may come from a browser's cache.
    assert answer["Cache-Control"] == "no-store"
    (url,) = {line for line in answer.content.decode().splitlines() if line.startswith("http")}
    assert get(url) == (200, b"media")
    assert get(url.partition("?")[0])[0] == 403, "the bucket is private"
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["21600"]
    assert f'URI="{url}"' in answer.content.decode()


def test_pictures_are_found_in_the_bucket_when_a_page_names_them(staff: Client, folder: str) -> None:
    answer = staff.get(f"/media/{folder}/publish/poster.jpg")
    assert answer.status_code == 302
    assert get(answer["Location"]) == (200, b"picture")


def test_playlist_of_a_long_lecture_is_small_when_it_is_signed(staff: Client, folder: str) -> None:
    lines = ["#EXTM3U", *(f"#EXTINF:6.0,\n../video-{n // 20:04}/720p.mp4" for n in range(1800)), "#EXT-X-ENDLIST", ""]
    default_storage.save(f"{folder}/publish/long.m3u8", ContentFile("\n".join(lines).encode()))
    answer = staff.get(f"/media/{folder}/publish/long.m3u8", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert len(answer.content) < 60_000


@pytest.mark.parametrize("name", ["720p.m3u8/../../../../x", "nothing.m3u8", "../../../sources/1.mp4"])
def test_nothing_else_is_signed_when_a_name_leads_elsewhere(name: str, staff: Client, folder: str) -> None:
    assert staff.get(f"/media/{folder}/publish/{name}").status_code == 404


def test_names_in_playlists_stay_in_the_publication(staff: Client, folder: str) -> None:
    text: Any = staff.get(f"/media/{folder}/publish/manifest.mpd").content.decode()
    paths = [urlsplit(url).path for url in re.findall(r'"(http[^"]+)"', text)]
    assert len(paths) == 2
    assert all(
        posixpath.normpath(path).partition("/published/")[2].startswith(folder.partition("/")[2]) for path in paths
    )
