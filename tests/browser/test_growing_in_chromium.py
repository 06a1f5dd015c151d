"""A video that is still being made, on its page and in three players: from its start, as far as it is made."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from project.local.frontend import install_frontend
from tasks.services.requests.cancel import cancel_job
from tests.browser.browsing import MESSAGE, PLAYER
from tests.browser.test_pages_in_chromium import STALLED
from tests.browser.test_players import HERE, INSTALLED
from tests.growing_job import GrowingJob
from tests.media.chaptered import mux_chapters
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
LOADED_AGAIN = "console: hls.js: bufferAppendNoProgress"
"""hls.js 1.7 reports, and does nothing else, if a segment that it loads once more adds nothing to the buffer."""

PLAYERS = {
    "hls.js": ("hlsjs", "master.m3u8"),
    "Shaka Player with HLS": ("shaka", "master.m3u8"),
    "Shaka Player with DASH": ("shaka", "manifest.mpd"),
    "dash.js": ("dashjs", "manifest.mpd"),
}


@pytest.fixture(scope="module")
def transcoded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Transcoded]:
    """Return a callable that transcodes numbered frames with a tone from a source that no browser plays as it is."""

    @cache
    def made(kind: str) -> Transcoded:
        folder = tmp_path_factory.mktemp("growing")
        name, *codec = SOURCES[kind]
        length_s = str(UNITS * UNIT_S)
        tone = ("-f", "lavfi", "-i", "sine=440:r=48000")
        captions = folder / "captions.srt"
        captions.write_text("1\n00:00:01,000 --> 00:00:02,500\nHello\n")
        streams = ("-map", "0", "-map", "1", "-map", "2", "-c:s", "webvtt" if name.endswith("webm") else "mov_text")
        plain = folder / f"plain-{name}"
        ffmpeg(
            *("-f", "lavfi", "-i", numbers_filter(str(RATE), "320x180"), *tone, "-i", str(captions), *streams),
            *(*codec, "-t", length_s, str(plain)),
        )
        source = plain
        if kind == "HEVC":  # ffmpeg's muxer adds no chapters to PCM in MOV without an error
            source = mux_chapters(plain, folder / name, [(0, 10_000, "Start"), (10_000, 24_000, "<b>End")])
        done = Transcode(folder)(source, PROFILE, checked=False)
        assert not done.plan.plays_directly
        assert len(done.plan.captions) == 1
        assert (len(done.plan.video_units), len(done.plan.audio_units), len(done.plan.rungs)) == (UNITS, 2, 3)
        return done

    return made


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


def seek_while_paused(pages: dict[str, Page], *numbers: int) -> None:
    """Seek to these frames, forwards and back. While it plays, a busy machine would show a later frame."""
    for label, page in pages.items():
        page.evaluate("video.pause()")
        for number in numbers:
            found = page.evaluate("([to, bits]) => seek(to, bits)", [(number + 0.5) / RATE, BITS])
            assert abs(found["number"] - number) <= 1, label
        page.evaluate("() => { void video.play(); }")


@pytest.mark.parametrize(
    "source", [pytest.param(source, marks=pytest.mark.long) for source in ("HEVC", "VP9", "ProRes")]
)
def test_players_play_a_growing_video_from_its_start_to_its_end_when_it_is_published_meanwhile(
    source: str,
    open_players: Callable[[Callable[[str], str]], dict[str, Page]],
    transcoded: Callable[[str], Transcoded],
) -> None:
    done = transcoded(source)
    growing = GrowingJob(done.run)
    growing.finish("audio", 0)
    pages = open_players(growing.url)
    until(pages, "video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA")
    for label, page in pages.items():
        assert page.evaluate("video.currentTime") < 0.2, label
        assert page.evaluate("control.heights()") == sorted(rung.height_px for rung in done.plan.rungs)
        page.evaluate(f"() => {{ edgeS = {UNIT_S}; pacePlaybackByBuffer(); void video.play(); }}")
    # In HLS, captions come with the publication.
    with_captions = {label: page for label, page in pages.items() if PLAYERS[label][1].endswith(".mpd")}
    for page in with_captions.values():
        page.evaluate("control.showCaptions()")
    grow(pages, growing, 1, 2, "audio-1")
    seek_while_paused(pages, 75, 12, 33)
    for place, units in ((2, (3,)), (0, (4, 5)), (1, (6, 7))):
        for page in pages.values():
            page.evaluate(f"control.choose({place})")
        grow(pages, growing, *units)
    until(with_captions, "cues().length === 1")
    growing.publish()
    until(pages, f"Math.abs(video.duration - {UNITS * UNIT_S}) < 0.1")
    for page in pages.values():
        page.evaluate(f"() => {{ edgeS = {UNITS * UNIT_S - 1}; playAtRate(4); }}")
    until(pages, "playedOut()")
    for label, page in pages.items():
        assert page.evaluate("control.problems()") == {"errors": [], "stalls": 0}, label


def open_growing_page(browsing: Browsing, growing: GrowingJob) -> Page:
    """Open the page of a video of which nothing is made, make its beginning, and play it."""
    page = browsing.page
    browsing.open(f"/videos/{growing.video.pk}/")
    assert page.locator(PLAYER).count() == 0
    growing.finish("audio", 0)
    # The page notices that there is something to watch without a reload by hand.
    page.wait_for_selector(PLAYER)
    assert "playable up to 0:03" in page.inner_text("[data-part=details]")
    browsing.wait_until("player.readyState >= 3")
    page.evaluate("() => { window.isSamePage = true; player.muted = true; return player.play(); }")
    browsing.wait_until("player.currentTime > 0")
    return page


def test_page_plays_a_growing_video_to_its_end_when_it_is_published_meanwhile(
    browsing: Browsing, transcoded: Callable[[str], Transcoded]
) -> None:
    growing = GrowingJob(transcoded("HEVC").run)
    page = open_growing_page(browsing, growing)
    assert page.evaluate("player.currentTime") < 3
    growing.finish(1, 2, "audio-1")
    # The seek bar shows how far it is made.
    browsing.wait_until("Math.abs(player.duration - 9) < 0.5 && player.buffered.end(0) > 8.9")
    page.wait_for_selector("text=playable up to 0:09")
    growing.finish(*range(3, UNITS))
    browsing.wait_until("player.buffered.end(0) > 23.9")
    at_s = page.evaluate("player.currentTime")
    assert page.is_hidden(".chapters")
    growing.publish()
    page.wait_for_selector(".badge.ready")
    assert page.locator(".chapters button").all_inner_texts() == ["0:00\nStart", "0:10\n<b>End"]
    browsing.wait_until("player.duration === 24")
    assert page.is_hidden("[data-part=growing]")
    assert page.evaluate("player.currentTime") >= at_s
    page.evaluate("() => { player.playbackRate = 8; }")
    browsing.wait_until("player.ended")
    assert page.evaluate("[window.isSamePage, player.played.length, player.played.start(0)]") == [True, 1, 0]
    assert set(browsing.problems) <= STALLED | {LOADED_AGAIN}


def cancel(growing: GrowingJob) -> set[str]:
    cancel_job(job_id=growing.claim.job_id)
    return {
        "Processing was cancelled. What follows cannot be watched.",
        "Processing has ended before the video was complete. Cancelled manually.",
    }


def delete(growing: GrowingJob) -> set[str]:
    growing.video.delete()
    return {
        "The video was deleted. What follows cannot be watched.",
        "The video is no longer available. If you have been signed out, sign in again.",
    }


@pytest.mark.long
@pytest.mark.parametrize("end", [pytest.param(cancel, marks=pytest.mark.long), delete])
def test_page_stops_the_player_with_a_message_when_the_job_ends_before_the_video_is_made(
    end: Callable[[GrowingJob], set[str]], browsing: Browsing, transcoded: Callable[[str], Transcoded]
) -> None:
    growing = GrowingJob(transcoded("HEVC").run)
    page = open_growing_page(browsing, growing)
    requested: list[str] = []
    messages = end(growing)
    page.wait_for_selector(MESSAGE, state="visible")
    page.on("request", lambda request: requested.append(request.url))
    # Of the progress or of the playlist, whichever is read first.
    assert page.inner_text(MESSAGE) in messages
    # What is loaded can be watched to its end, which takes longer than the player waits between two requests.
    browsing.wait_until("player.currentTime > 2.8")
    assert [url for url in requested if "/media/" in url] == []
    assert page.evaluate("[window.isSamePage, player.error]") == [True, None]
    # Each playlist is requested at most once more: hls.js tries the other rungs of one that is gone.
    missing = [problem for problem in browsing.problems if "/media/" in problem]
    assert len(missing) == len(set(missing))
