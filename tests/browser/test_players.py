"""The engine's output in three independent players: no error, no stall, and each time shows its frame."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from project.local.frontend import install_frontend
from tests.browser.conftest import FLAGS
from tests.browser.range_server import serve_folders
from tests.media.clips import BITS, H264, ffmpeg, numbers_filter
from tests.media.runs import SMALL, Transcode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.media.runs import Transcoded

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".local" / "players"

RATE = 30000 / 1001
FRAMES = 300
SEEKS = 20
_LIMIT_MS = 60_000
_FULLY_BUFFERED = "video.buffered.length && video.buffered.end(video.buffered.length - 1) > video.duration - 0.05"
TONES_HZ = {"English": 440, "Français": 1200}
"""What is played in each language."""

_CAPTIONS = "1\n00:00:01,000 --> 00:00:02,500\nHello & goodbye\n"


HELD_FROM = (*range(30), 32, 37, 57, 117)
"""In a clip of stills, the frames of each period at which another one begins: they last 33 ms to 1 s, a GOP."""
HELD_PERIOD = 178
STILLS = dataclasses.replace(SMALL, gop_s=1.0, segment_s=3.0, unit_segments=1)
"""Three GOPs per segment, as in production; an encoded frame may last 1 s."""


@pytest.fixture(scope="module", params=["stills", pytest.param("every frame is new", marks=pytest.mark.long)])
def clip(request: pytest.FixtureRequest) -> str:
    """Return the kind of clip that is played."""
    return str(request.param)


@pytest.fixture(scope="module")
def shown(clip: str) -> list[int]:
    """Return the number that is shown in each frame period."""
    if clip != "stills":
        return list(range(FRAMES))
    starts = [period + at for period in range(0, FRAMES, HELD_PERIOD) for at in HELD_FROM]
    return [max(start for start in starts if start <= frame) for frame in range(FRAMES)]


@pytest.fixture(scope="module")
def transcoded(clip: str, tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Transcode ten seconds of numbered frames with two languages and captions: three rungs, several units."""
    folder = tmp_path_factory.mktemp("players")
    held = "+".join(rf"eq(mod(n\,{HELD_PERIOD})\,{at})" for at in HELD_FROM)
    stills = ("-vf", f"select={held}", "-fps_mode", "vfr") if clip == "stills" else ()
    (folder / "captions.srt").write_text(_CAPTIONS)
    tones = [part for hz in TONES_HZ.values() for part in ("-f", "lavfi", "-i", f"sine={hz}:r=48000")]
    source = ("-f", "lavfi", "-i", numbers_filter("30000/1001", "320x180"), *tones)
    maps = ("-map", "0", "-map", "1", "-map", "2", "-map", "3")
    ffmpeg(
        *(*source, "-i", str(folder / "captions.srt"), *maps, *H264, *stills),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", "-disposition:a:1", "0"),
        *("-t", str(FRAMES / RATE), "-metadata:s:s:0", "language=eng", str(folder / "numbers.mkv")),
    )
    return Transcode(folder)(folder / "numbers.mkv", STILLS if clip == "stills" else SMALL)


@pytest.fixture(scope="module")
def server_url(transcoded: Transcoded) -> Iterator[str]:
    """Yield the URL at which the output and the players are served."""
    messages: list[str] = []
    assert install_frontend(report=messages.append, source_dir=HERE / "players", target_dir=INSTALLED), messages
    folders = {
        "/media/": transcoded.run.folder,
        "/node_modules/": INSTALLED / "node_modules",
        "/": HERE / "players",
    }
    with serve_folders(folders) as found:
        yield found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(
    params=[
        pytest.param(("hlsjs", "master.m3u8"), id="hls.js"),
        pytest.param(("shaka", "master.m3u8"), id="Shaka Player with HLS", marks=pytest.mark.long),
        pytest.param(("shaka", "manifest.mpd"), id="Shaka Player with DASH", marks=pytest.mark.long),
        pytest.param(("dashjs", "manifest.mpd"), id="dash.js", marks=pytest.mark.long),
    ],
)
def open_player(request: pytest.FixtureRequest, browser: Browser, server_url: str) -> Iterator[Callable[[int], Page]]:
    """Yield a callable that loads the output into the player with a buffer limit in seconds, ready to play."""
    player, name = request.param
    page = browser.new_page()
    page.set_default_timeout(_LIMIT_MS)

    def opened(buffer_s: int) -> Page:
        page.goto(f"{server_url}/play.html?player={player}&buffer_s={buffer_s}&url={server_url}/media/{name}")
        page.evaluate("async () => { window.control = await start(); }")
        page.wait_for_function("video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA")
        return page

    yield opened
    page.close()


def _problems(page: Page) -> Any:
    return page.evaluate("control.problems()")


def test_players_show_the_right_frame_when_seeking_at_random(
    open_player: Callable[[int], Page], transcoded: Transcoded, shown: list[int]
) -> None:
    page = open_player(60)
    # One buffered range from end to end: not the smallest gap in video or audio.
    page.wait_for_function(_FULLY_BUFFERED)
    assert page.evaluate("[video.buffered.length, video.buffered.start(0)]") == [1, 0]
    assert page.evaluate("video.duration") == pytest.approx(transcoded.plan.duration_s, abs=0.03)
    rng = random.Random(4)  # seek positions need no secure randomness
    for _ in range(SEEKS):
        # The middle of a frame's duration, so that rounding cannot show another frame.
        frame = rng.randrange(transcoded.plan.frames - 1)
        found = page.evaluate("([to, bits]) => seek(to, bits)", [(frame + 0.5) / RATE, BITS])
        assert found["number"] == shown[frame]
    assert _problems(page) == {"errors": [], "stalls": 0}


@pytest.mark.long
def test_players_play_on_when_segments_are_loaded_from_the_last_to_the_first(
    open_player: Callable[[int], Page], transcoded: Transcoded, shown: list[int]
) -> None:
    page = open_player(2)
    # Not in the first frame of a segment, and not near the end.
    for frame in range(transcoded.plan.frames - 40, 0, -75):
        found = page.evaluate("([to, bits]) => seek(to, bits)", [(frame + 0.5) / RATE, BITS])
        assert found["number"] == shown[frame]
    page.evaluate("() => { countStalls(); pacePlaybackByBuffer(); return video.play(); }")
    page.wait_for_function("playedOut()")
    assert _problems(page) == {"errors": [], "stalls": 0}


@pytest.mark.long
def test_players_switch_rungs_without_stalls_when_forced_down_and_up(
    open_player: Callable[[int], Page], transcoded: Transcoded
) -> None:
    # A small buffer, so that another rung is shown soon.
    page = open_player(2)
    assert page.evaluate("control.heights()") == sorted(rung.height_px for rung in transcoded.plan.rungs)
    # A busy machine must not fail this test: the less is buffered, the slower it is played; the
    # switches run in the page, so that none comes too late; and the remainder is buffered before it
    # is played faster.
    page.evaluate("() => { countStalls(); pacePlaybackByBuffer(); }")
    page.evaluate("switchThroughRungs([0, 2, 0])")
    page.evaluate("() => { control.buffer(60); }")
    page.wait_for_function(_FULLY_BUFFERED)
    page.evaluate("() => { playAtRate(2); }")
    page.wait_for_function("playedOut()")
    assert page.evaluate("[video.played.length, video.buffered.length]") == [1, 1]
    assert _problems(page) == {"errors": [], "stalls": 0}


def test_players_play_the_chosen_language_when_there_are_several(open_player: Callable[[int], Page]) -> None:
    page = open_player(60)
    assert page.evaluate("control.audioNames()") == list(TONES_HZ)
    page.evaluate("() => { video.loop = true; return video.play(); }")
    # The first one is the default.
    for place in (0, 1, 0):
        page.evaluate("place => { control.chooseAudio(place); }", place)
        hz = list(TONES_HZ.values())[place]
        page.wait_for_function("async hz => Math.abs((await playedHz()) - hz) < 15", arg=hz)
    assert _problems(page)["errors"] == []


def test_captions_are_shown_on_time_when_they_are_selected(open_player: Callable[[int], Page]) -> None:
    page = open_player(60)
    page.evaluate("() => { control.showCaptions(); return video.play(); }")
    page.wait_for_function("cues().length > 0")
    ((start_s, end_s, text),) = page.evaluate("cues()")
    assert (start_s, end_s) == (pytest.approx(1.0, abs=0.01), pytest.approx(2.5, abs=0.01))
    assert text.replace("&amp;", "&") == "Hello & goodbye"
    assert _problems(page)["errors"] == []
