"""A video that is still being made, in three independent players: from its start, as far as it is made, to its end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from project.local.frontend import install_frontend
from tests.browser.test_players import HERE, INSTALLED
from tests.growing_job import GrowingJob
from tests.media.clips import BITS, ffmpeg, numbers_filter
from tests.media.runs import SMALL, Transcode
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, Route

    from tasks.transcode import UnitKey
    from tests.browser.browsing import Browsing
    from tests.media.runs import Transcoded

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

RATE = 10
UNIT_S = 3
UNITS = 8
AUDIO_HEAD_S = 3
PROFILE = dataclasses.replace(SMALL, unit_segments=UNIT_S, audio_head_s=AUDIO_HEAD_S)
"""Segments of a second in units of three."""

SOURCES = {
    "HEVC": ("a.mp4", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "aac"),
    "VP9": ("a.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "ProRes": ("a.mov", "-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s16le"),
}
PLAYERS = {
    "hls.js": ("hlsjs", "master.m3u8"),
    "Shaka Player with HLS": ("shaka", "master.m3u8"),
    "Shaka Player with DASH": ("shaka", "manifest.mpd"),
    "dash.js": ("dashjs", "manifest.mpd"),
}


@pytest.fixture(
    params=["HEVC", pytest.param("VP9", marks=pytest.mark.long), pytest.param("ProRes", marks=pytest.mark.long)]
)
def transcoded(request: pytest.FixtureRequest, tmp_path: Path) -> Transcoded:
    """Transcode numbered frames with a tone from a source that no browser plays as it is."""
    name, *codec = SOURCES[request.param]
    length_s = str(UNITS * UNIT_S)
    tone = ("-f", "lavfi", "-i", "sine=440:r=48000")
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter(str(RATE), "320x180"), *tone, "-t", length_s, *codec),
        str(tmp_path / name),
    )
    done = Transcode(tmp_path)(tmp_path / name, PROFILE, checked=False)
    assert not done.plan.plays_directly
    assert (len(done.plan.video_units), len(done.plan.audio_units), len(done.plan.rungs)) == (UNITS, 2, 3)
    return done


@pytest.fixture
def open_players(browsing: Browsing) -> Iterator[Callable[[Callable[[str], str]], dict[str, Page]]]:
    """Yield a callable that opens each player on its own page of the site; it takes the URL of a playlist's name."""
    messages: list[str] = []
    assert install_frontend(report=messages.append, source_dir=HERE / "players", target_dir=INSTALLED), messages
    pages: dict[str, Page] = {}
    browser = browsing.page.context.browser
    assert browser is not None
    context = browser.new_context(storage_state=browsing.page.context.storage_state())

    def file_of(route: Route) -> None:
        path = route.request.url.partition("?")[0].removeprefix(browsing.url)
        root = INSTALLED if path.startswith("/node_modules/") else HERE
        route.fulfill(path=root / path.lstrip("/"))

    def opened(url_of: Callable[[str], str]) -> dict[str, Page]:
        for label, (player, name) in PLAYERS.items():
            page = pages[label] = context.new_page()
            page.route("**/players/**", file_of)
            page.route("**/node_modules/**", file_of)
            page.goto(f"{browsing.url}/players/play.html?player={player}&buffer_s=60&url={browsing.url}{url_of(name)}")
            page.evaluate("async () => { window.control = await start(); countStalls(); }")
        return pages

    yield opened
    context.close()


def until(pages: dict[str, Page], expression: str) -> None:
    """Wait until an expression is true in every player."""
    for label, page in pages.items():
        wait_for(
            lambda page=page: page.evaluate(expression),  # type: ignore[misc] # it is the loop's own
            what=f"{expression} in {label}: {state_of(page)}",
        )


def state_of(page: Page) -> Any:
    return page.evaluate(
        """() => [video.currentTime, video.duration, video.paused, video.readyState, control.problems(),
            [...Array(video.buffered.length).keys()].map((at) => [video.buffered.start(at), video.buffered.end(at)])]"""
    )


def grow(pages: dict[str, Page], growing: GrowingJob, *units: UnitKey) -> None:
    """Finish units, and wait until every player has loaded what they added."""
    growing.finish(*units)
    # A dynamic MPD leaves out the last segment, of a second.
    edge_s = min(UNIT_S * (max(unit for unit in units if isinstance(unit, int)) + 1), UNIT_S * UNITS - 1)
    for page in pages.values():
        page.evaluate(f"edgeS = {edge_s}")
    until(pages, f"bufferedAheadS() > {edge_s} - video.currentTime - 0.2")


def test_players_play_a_growing_video_from_its_start_to_its_end_when_it_is_published_meanwhile(
    open_players: Callable[[Callable[[str], str]], dict[str, Page]], transcoded: Transcoded
) -> None:
    growing = GrowingJob(transcoded.run)
    growing.finish("audio", 0)
    pages = open_players(growing.url)
    until(pages, "video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA")
    for label, page in pages.items():
        assert page.evaluate("video.currentTime") < 0.2, label
        assert page.evaluate("control.heights()") == sorted(rung.height_px for rung in transcoded.plan.rungs)
        page.evaluate(f"() => {{ edgeS = {UNIT_S}; pacePlaybackByBuffer(); void video.play(); }}")
    grow(pages, growing, 1, 2, "audio-1")
    # Seeks in what is made, forwards and back.
    for number in (75, 12, 33):
        for label, page in pages.items():
            found = page.evaluate("([to, bits]) => seek(to, bits)", [(number + 0.5) / RATE, BITS])
            assert abs(found["number"] - number) <= 1, label
    for place, units in ((2, (3,)), (0, (4, 5)), (1, (6, 7))):
        for page in pages.values():
            page.evaluate(f"control.choose({place})")
        grow(pages, growing, *units)
    growing.publish()
    until(pages, f"Math.abs(video.duration - {UNITS * UNIT_S}) < 0.1")
    for page in pages.values():
        page.evaluate(f"() => {{ edgeS = {UNITS * UNIT_S}; playAtRate(4); }}")
    until(pages, "playedOut()")
    for label, page in pages.items():
        assert page.evaluate("control.problems()") == {"errors": [], "stalls": 0}, label
