"""The player's controls in a real browser: settings, captions, keys, images on the seek bar, and what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from project.local.servers.ports import free_port
from tasks.models import WatchPosition
from tests.browser.accessibility import installed_axe
from tests.browser.browsing import MESSAGE, QUALITY, Browsing
from tests.browser.conftest import browsing_on, gunicorn
from tests.browser.lecture import LANGUAGES, LENGTH_S, published_lecture
from tests.browser.test_pages_in_chromium import STALLED
from tests.growing_job import GrowingJob
from tests.polling import wait_for

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from playwright.sync_api import Page, Route

    from tasks.models import Video
    from tests.media.runs import Transcoded

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FASTER = "1.5\N{MULTIPLICATION SIGN}"


def open_page(browsing: Browsing, video: Video) -> Page:
    """Open the video's page, and wait until its settings offer qualities and captions."""
    browsing.open(f"/videos/{video.pk}/")
    browsing.page.wait_for_selector(QUALITY, state="attached")
    browsing.wait_until("player.readyState >= 2")
    wait_for(lambda: browsing.options("captions") == ["Off", *LANGUAGES], what="captions in the menu")
    return browsing.page


def shown_captions(browsing: Browsing) -> list[str]:
    """Return the text of the captions that are shown now."""
    cues = "[...player.textTracks].filter((track) => track.mode === 'showing').flatMap((track) => [...(track.activeCues ?? [])])"
    texts: list[str] = browsing.page.evaluate(f"{cues}.map((cue) => cue.text)")
    return texts


def wait_for_captions(browsing: Browsing, *texts: str) -> None:
    wait_for(lambda: shown_captions(browsing) == list(texts), what=f"captions {texts}")


def play(browsing: Browsing, *, at_s: float = 1) -> None:
    browsing.page.evaluate("(at) => { player.muted = true; player.currentTime = at; return player.play(); }", at_s)
    browsing.wait_until(f"player.currentTime > {at_s}")


@pytest.mark.long
def test_captions_turn_on_and_off_and_on_in_another_language_when_they_are_chosen(
    browsing: Browsing, lecture: Transcoded
) -> None:
    page = open_page(browsing, published_lecture(lecture))
    play(browsing)
    page.evaluate("player.pause()")
    for entry, texts in (
        ("English", ["Hello"]),
        ("Off", []),
        ("Deutsch", ["Hallo"]),
        ("English", ["Hello"]),
        ("Off", []),
    ):
        browsing.choose("captions", entry)
        wait_for_captions(browsing, *texts)
        assert browsing.options("captions") == ["Off", *LANGUAGES]
    # Without `data:` in the policy, the track of hls.js fails to load, and cannot be shown again.
    page.focus("media-play-button")
    for texts in (["Hello"], [], ["Hello"]):
        page.keyboard.press("c")
        wait_for_captions(browsing, *texts)
    assert page.evaluate("[...document.querySelectorAll('track')].map((track) => track.readyState)").count(3) == 0
    assert set(browsing.problems) <= STALLED


@pytest.mark.long
def test_choices_are_remembered_when_another_video_is_opened(browsing: Browsing, lecture: Transcoded) -> None:
    page = open_page(browsing, published_lecture(lecture))
    play(browsing)
    page.evaluate("player.pause()")
    qualities = ["Automatic (180p)", "180p", "80p", "60p", "Audio only"]
    wait_for(lambda: browsing.options("quality") == qualities, what="the qualities, and the one that is shown")
    assert browsing.options("audio") == list(LANGUAGES)
    for entry, label in {
        "quality": "60p",
        "rate": FASTER,
        "captions": "Deutsch",
        "size": "Large",
        "audio": "Deutsch",
    }.items():
        browsing.choose(entry, label)
    play(browsing, at_s=10)
    browsing.wait_until("player.videoHeight === 60")
    page = open_page(browsing, published_lecture(lecture))
    wait_for_captions(browsing)  # none at 0 s
    play(browsing)
    wait_for_captions(browsing, "Hallo")
    now = page.evaluate(
        "[player.videoHeight, player.playbackRate, player.closest('.batchreel-player').dataset.textSize]"
    )
    assert now == [60, 1.5, "large"]
    checked = page.locator("[role=menuitemradio][aria-checked=true]")
    choices = ["60p", FASTER, "Deutsch", "Large", "Deutsch"]
    wait_for(lambda: checked.all_text_contents() == choices, what="the remembered choices in the menu")


@pytest.mark.long
def test_video_is_not_loaded_when_only_the_audio_is_chosen(browsing: Browsing, lecture: Transcoded) -> None:
    page = open_page(browsing, published_lecture(lecture))
    play(browsing)
    browsing.choose("quality", "Audio only")
    browsing.wait_until("player.videoHeight === 0 && player.readyState >= 3 && !player.paused")
    at_s = page.evaluate("player.currentTime")
    assert at_s > 1
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    page.evaluate("player.currentTime = 20")
    browsing.wait_until("player.currentTime > 20.5")
    assert not [url for url in loaded if url.endswith("p.mp4")]
    browsing.choose("audio", "Deutsch")
    browsing.wait_until("player.readyState >= 3 && player.videoHeight === 0")
    browsing.choose("quality", "80p")
    browsing.wait_until("player.videoHeight === 80")
    assert page.is_hidden(MESSAGE)


def test_keys_seek_and_change_the_speed_when_the_player_has_the_focus(browsing: Browsing, lecture: Transcoded) -> None:
    page = open_page(browsing, published_lecture(lecture))
    # What the controls show, from which the next key counts: they follow the video's events.
    state = "document.querySelector('media-controller').getAttribute.bind(document.querySelector('media-controller'))"
    place = f"Math.round(Number({state}('mediacurrenttime')))"

    def pressed(key: str, expression: str, expected: object) -> None:
        page.keyboard.press(key)
        wait_for(lambda: page.evaluate(expression) == expected, what=f"{expression} = {expected} after {key}")

    page.keyboard.press("5")
    assert page.evaluate("player.currentTime") == 0, "the focus is not in the player"
    page.focus("media-control-bar media-play-button")
    pressed("5", place, 12)
    pressed("j", place, 2)
    pressed("l", place, 12)
    pressed("Home", place, 0)
    pressed("End", place, LENGTH_S)
    pressed("0", place, 0)
    pressed("ArrowRight", place, 10)
    pressed("Shift+>", f"{state}('mediaplaybackrate')", "1.25")
    pressed("Shift+<", f"{state}('mediaplaybackrate')", "1")
    pressed("m", f"{state}('mediamuted')", "")
    pressed("k", f"{state}('mediapaused')", None)
    pressed(" ", f"{state}('mediapaused')", "")
    paused_at_s = page.evaluate("player.currentTime")
    # In a menu, the same keys move between its items.
    page.press("media-settings-menu-button", "Enter")
    browsing.wait_until("document.activeElement.matches('[role=menuitem]')")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    assert page.evaluate("player.currentTime") == paused_at_s


def test_seek_bar_shows_the_frame_of_the_place_when_the_pointer_is_on_it(
    browsing: Browsing, lecture: Transcoded
) -> None:
    page = open_page(browsing, published_lecture(lecture))
    page.hover(".controls")
    browsing.wait_until(
        "[...player.textTracks].some((track) => track.label === 'thumbnails' && track.cues?.length > 1)"
    )
    bar = page.locator("media-time-range").bounding_box()
    assert bar is not None
    # Twice: the first one moves it to where it belongs.
    for share in (0.7, 0.75):
        page.mouse.move(bar["x"] + bar["width"] * share, bar["y"] + bar["height"] / 2)
    image = "document.querySelector('media-time-range').shadowRoot.querySelector('media-preview-thumbnail').shadowRoot.querySelector('img')"
    browsing.wait_until(f"{image}.naturalWidth > 0")
    assert page.evaluate("document.querySelector('media-time-range').mediaPreviewTime") == pytest.approx(18, abs=1)
    chapter = page.evaluate("document.querySelector('media-controller').mediaStore.getState().mediaPreviewChapter")
    assert chapter == "End"
    assert browsing.problems == []


def test_playback_continues_where_it_stopped_when_the_video_is_opened_again(
    browsing: Browsing, lecture: Transcoded
) -> None:
    video = published_lecture(lecture)
    page = open_page(browsing, video)
    assert page.locator(".resume").count() == 0
    play(browsing, at_s=15)
    page.evaluate("player.pause()")
    page = open_page(browsing, video)
    assert page.evaluate("player.currentTime") == pytest.approx(15, abs=1)
    page.click("text=Continue at 0:15")
    browsing.wait_until("player.currentTime > 15 && !player.paused")
    assert page.locator(".resume").count() == 0
    page = open_page(browsing, video)
    page.focus("text=From the beginning")
    page.keyboard.press("Enter")
    browsing.wait_until("player.currentTime > 0 && player.currentTime < 3 && !player.paused")
    # Near its end, there is nothing to continue. It is played slowly, so that it does not end before it is paused.
    page.evaluate("player.playbackRate = 0.1")
    play(browsing, at_s=LENGTH_S * 0.985)
    page.evaluate("player.pause()")
    page = open_page(browsing, video)
    assert page.evaluate("player.currentTime") == 0
    assert page.locator(".resume").count() == 0


@pytest.mark.long
def test_every_player_of_a_page_plays_when_one_is_inserted_later(browsing: Browsing, lecture: Transcoded) -> None:
    first, second = published_lecture(lecture), published_lecture(lecture)
    page = open_page(browsing, first)
    html = browsing.page.context.request.get(f"{browsing.url}/videos/{second.pk}/").text()
    page.evaluate(
        """(html) => {
            const block = new DOMParser().parseFromString(html, "text/html").querySelector(".batchreel-player");
            const place = document.createElement("section");
            place.append(block);
            document.querySelector("main").append(place);
            document.dispatchEvent(new CustomEvent("batchreel:inserted", { detail: place }));
            window.videos = () => [...document.querySelectorAll(".batchreel-player video")];
        }""",
        html,
    )
    browsing.wait_until("videos().length === 2 && videos().every((video) => video.readyState >= 2)")
    page.evaluate("() => Promise.all(videos().map((video) => { video.muted = true; return video.play(); }))")
    browsing.wait_until("videos().every((video) => video.currentTime > 1)")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(({ id }) => id)")
    assert len(ids) == len(set(ids))
    assert page.locator("media-controller").count() == 2
    assert set(browsing.problems) <= STALLED


@pytest.mark.long
def test_captions_are_offered_when_the_video_is_published_while_it_is_watched(
    browsing: Browsing, lecture: Transcoded
) -> None:
    growing = GrowingJob(lecture.run)
    growing.finish("audio", "audio-1", 0)
    page = browsing.page
    browsing.open(f"/videos/{growing.video.pk}/")
    browsing.wait_until("player.readyState >= 2")
    assert page.evaluate("player.currentTime") == 0
    # Never live: it has a length, as far as it is made.
    browsing.wait_until("Math.abs(player.duration - 12) < 1")
    assert page.get_attribute("media-controller", "mediastreamtype") == "on-demand"
    play(browsing)
    refused: list[str] = []

    def busy_at_first(route: Route) -> None:
        refused.append(route.request.url)
        if len(refused) == 1:
            route.fulfill(status=503)
        else:
            route.continue_()

    page.route("**/master.m3u8", busy_at_first)
    growing.finish(1)
    growing.publish()
    wait_for(lambda: browsing.options("captions") == ["Off", *LANGUAGES], what="captions in the menu")
    browsing.choose("captions", "Deutsch")
    wait_for_captions(browsing, "Hallo")
    assert page.evaluate("player.paused") is False
    browsing.choose("captions", "English")
    wait_for_captions(browsing, "Hello")
    assert page.is_hidden(MESSAGE)


def test_embedded_player_appears_in_the_same_page_when_its_video_becomes_ready(
    browsing: Browsing, lecture: Transcoded
) -> None:
    page, growing = browsing.page, GrowingJob(lecture.run)
    page.clock.install()
    browsing.open(f"/embed/{growing.video.pk}/")
    page.evaluate("document.body.dataset.page = 'first'")
    growing.finish(*growing.leases)
    growing.publish()
    page.clock.fast_forward("00:31")
    page.wait_for_selector(QUALITY, state="attached")
    browsing.wait_until("player.readyState >= 2")
    assert page.evaluate("document.body.dataset.page") == "first"
    assert page.locator(".note").count() == 0


@pytest.mark.long
@pytest.mark.parametrize("path", ["/videos/{}/", "/embed/{}/"])
def test_page_violates_no_rule_of_accessibility_when_a_menu_of_the_player_is_open(
    path: str, browsing: Browsing, lecture: Transcoded
) -> None:
    page, axe = browsing.page, installed_axe().read_text()

    def violations() -> list[str]:
        found: list[str] = page.evaluate(
            "axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`)))"
        )
        return found

    browsing.open(path.format(published_lecture(lecture).pk))
    browsing.wait_until("player.readyState >= 2")
    # The site's policy allows no script of a test.
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": axe})
    assert violations() == []
    page.click("media-settings-menu-button")
    assert violations() == []
    page.click("[data-entry=rate]")
    assert violations() == []


def test_browsers_own_controls_stay_when_media_chrome_is_missing(browsing: Browsing, lecture: Transcoded) -> None:
    video = published_lecture(lecture)
    browsing.page.route("**/vendor/controls.js", lambda route: route.abort())
    browsing.open(f"/videos/{video.pk}/")
    browsing.wait_until("player.readyState >= 2")
    assert browsing.page.evaluate("[player.controls, document.querySelectorAll('media-controller').length]") == [
        True,
        0,
    ]
    play(browsing)
    browsing.page.click("text=End")
    browsing.wait_until("player.currentTime >= 10")


@pytest.mark.long
def test_browser_plays_hls_itself_when_it_has_no_media_source(browsing: Browsing, lecture: Transcoded) -> None:
    page = browsing.page
    page.add_init_script("delete window.MediaSource; delete window.ManagedMediaSource;")
    browsing.open(f"/videos/{published_lecture(lecture).pk}/")
    if not page.evaluate("document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"):
        pytest.skip("this Chromium does not play HLS")
    browsing.wait_until("player.readyState >= 2")
    assert page.evaluate("player.src").endswith("master.m3u8")
    play(browsing)
    browsing.choose("rate", FASTER)
    assert page.evaluate("player.playbackRate") == 1.5
    assert page.is_hidden("[data-entry=quality]")


@pytest.mark.long
def test_account_continues_in_another_browser_when_the_site_keeps_positions(
    *,
    chromium: str,
    admin_user: User,
    lecture: Transcoded,
    program_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    url = f"http://127.0.0.1:{free_port()}"
    site: dict[str, Any] = {"SITE_URL": url, "BATCHREEL": '{"keep_watch_positions": true}'}
    video = published_lecture(lecture)
    with gunicorn({**program_environment, **site}, tmp_path):
        with browsing_on(url, chromium=chromium, user=admin_user) as one:
            page = open_page(one, video)
            play(one, at_s=14)
            left_s = page.evaluate("player.currentTime")
            # It is left while it plays.
            page.goto("about:blank")
            found = wait_for(WatchPosition.objects.first, what="a position")
            assert (found.user_id, found.video_id) == (admin_user.pk, video.pk)
            assert found.position_s == pytest.approx(left_s, abs=2)
            page.goto(url)
            assert page.evaluate("localStorage.getItem('batchreel positions')") is None
        with browsing_on(url, chromium=chromium, user=admin_user) as other:
            page = open_page(other, video)
            assert page.evaluate("player.currentTime") == pytest.approx(left_s, abs=5)
            assert page.locator(".resume .go").count() == 1
