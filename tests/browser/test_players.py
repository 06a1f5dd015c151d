"""The engine's output in three independent players: no error, no stall, and each time shows its picture."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from project.local.frontend import install_frontend
from tests.browser.conftest import FLAGS
from tests.browser.range_server import served
from tests.media.clips import BITS, H264, ffmpeg, numbers_filter
from tests.media.runs import Transcode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.media.runs import Transcoded

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".local" / "players"

RATE = 30000 / 1001
PICTURES = 300
SEEKS = 20
_LIMIT_MS = 60_000
_WHOLLY_BUFFERED = "video.buffered.length && video.buffered.end(video.buffered.length - 1) > video.duration - 0.05"
_WORDS = "1\n00:00:01,000 --> 00:00:02,500\nHello & goodbye\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Ten seconds of numbered pictures with a tone and captions, in three rungs, ten segments and five units."""
    folder = tmp_path_factory.mktemp("players")
    (folder / "words.srt").write_text(_WORDS)
    source = ("-f", "lavfi", "-i", numbers_filter("30000/1001", "320x180"), "-f", "lavfi", "-i", "sine=440:r=48000")
    ffmpeg(
        *(*source, "-i", str(folder / "words.srt"), "-map", "0", "-map", "1", "-map", "2", *H264),
        *("-frames:v", str(PICTURES), "-t", str(PICTURES / RATE), "-metadata:s:s:0", "language=eng"),
        str(folder / "numbers.mkv"),
    )
    return Transcode(folder)(folder / "numbers.mkv")


@pytest.fixture(scope="module")
def address(done: Transcoded) -> Iterator[str]:
    """Where the output and the players are served."""
    said: list[str] = []
    assert install_frontend(say=said.append, source_dir=HERE / "players", target_dir=INSTALLED), said
    folders = {
        "/media/": done.run.folder,
        "/node_modules/": INSTALLED / "node_modules",
        "/": HERE / "players",
    }
    with served(folders) as found:
        yield found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(
    params=[("hlsjs", "master.m3u8"), ("shaka", "master.m3u8"), ("shaka", "manifest.mpd"), ("dashjs", "manifest.mpd")],
    ids=["hls.js", "Shaka Player with HLS", "Shaka Player with DASH", "dash.js"],
)
def open_player(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Callable[[int], Page]]:
    """Callable that loads the output into the player, ready to play; it may have so many seconds in its buffer."""
    player, name = request.param
    page = browser.new_page()
    page.set_default_timeout(_LIMIT_MS)

    def opened(buffer_s: int) -> Page:
        page.goto(f"{address}/play.html?player={player}&buffer_s={buffer_s}&address={address}/media/{name}")
        page.evaluate("async () => { window.control = await start(); }")
        page.wait_for_function("video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA")
        return page

    yield opened
    page.close()


def _problems(page: Page) -> Any:
    return page.evaluate("control.problems()")


def test_each_time_shows_its_picture_when_sought_at_random(open_player: Callable[[int], Page]) -> None:
    page = open_player(60)
    # One range from end to end: no gap, in the pictures or in the sound, however small.
    page.wait_for_function(_WHOLLY_BUFFERED)
    assert page.evaluate("[video.buffered.length, video.buffered.start(0)]") == [1, 0]
    assert page.evaluate("video.duration") == pytest.approx(PICTURES / RATE, abs=0.03)
    chance = random.Random(4)  # places to seek to, not secrets
    for _ in range(SEEKS):
        # The middle of a picture, so that rounding shows no other.
        number = chance.randrange(PICTURES - 1)
        found = page.evaluate("([to, bits]) => seek(to, bits)", [(number + 0.5) / RATE, BITS])
        assert found["number"] == number
    assert _problems(page) == {"errors": [], "stalls": 0}


def test_rungs_change_without_a_stall_when_forced_down_and_up(
    open_player: Callable[[int], Page], done: Transcoded
) -> None:
    # Little in hand, so that another rung is soon seen.
    page = open_player(2)
    assert page.evaluate("control.heights()") == sorted(rung.height_px for rung in done.plan.rungs)
    # A busy machine is not what is tried here: what is in hand is played the slower the less it is, the changes need no word from the
    # test, so that none comes too late, and the rest is in hand before it is played faster.
    page.evaluate("() => { countStalls(); playNoFasterThanInHand(); }")
    page.evaluate("changeThrough([0, 2, 0])")
    page.evaluate("() => { control.buffer(60); }")
    page.wait_for_function(_WHOLLY_BUFFERED)
    page.evaluate("() => { playAtRate(2); }")
    page.wait_for_function("playedOut()")
    assert page.evaluate("[video.played.length, video.buffered.length]") == [1, 1]
    assert _problems(page) == {"errors": [], "stalls": 0}


def test_captions_are_shown_at_their_time_when_chosen(open_player: Callable[[int], Page]) -> None:
    page = open_player(60)
    page.evaluate("() => { control.showCaptions(); return video.play(); }")
    page.wait_for_function("cues().length > 0")
    ((start_s, end_s, text),) = page.evaluate("cues()")
    assert (start_s, end_s) == (pytest.approx(1.0, abs=0.01), pytest.approx(2.5, abs=0.01))
    assert text.replace("&amp;", "&") == "Hello & goodbye"
    assert _problems(page)["errors"] == []
