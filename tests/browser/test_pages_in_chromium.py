"""The pages in a real browser, with the output of a real container."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.states import ACTIVE_JOB_STATES
from tasks.models import Job, Video
from tasks.services.requests.request import request_again
from tests.browser.browsing import MESSAGE, PLAYER, QUALITY
from tests.factories import claimed, planned, submitted_attempt
from tests.media.clips import ffmpeg
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from playwright.sync_api import Route

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CLIP_S = 13
PLAYS = 3
STALLED = {"console: hls.js: bufferStalledError", "console: hls.js: bufferNudgeOnStall"}
"""Warnings of hls.js when playback stalls for a second, as on a stalling machine, and when it resolves the stall."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a moving test video with a tone, long enough for three segments and large enough for two rungs."""
    return make_clip(tmp_path / "a lecture.mp4", size="640x360", duration_s=CLIP_S)


def make_clip(path: Path, *, size: str, duration_s: int) -> Path:
    """Write a moving test video with a tone."""
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={duration_s}", "-f", "lavfi", "-i", f"sine=d={duration_s}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)),
    )
    return path


def upload(browsing: Browsing, clip: Path, title: str = "A lecture") -> Video:
    """Upload through the form, and open the video's page."""
    browsing.send_files(str(clip), title=title)
    browsing.open_uploaded()
    return Video.objects.get()


def run_container(video: Video, environment: Mapping[str, str], *, exit_code: ExitCode = ExitCode.DONE) -> None:
    """Run the real container program for the video's job."""
    attempt = submitted_attempt(video)
    done = subprocess.run(
        [sys.executable, "-m", "tasks.container", str(attempt.job_id), str(attempt.number)],
        env={**environment, "AWS_BATCH_JOB_ID": str(attempt.batch_job_id)},
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr


def wait_until_fully_buffered(browsing: Browsing) -> None:
    """Wait until the whole video is buffered, so that neither server nor network can stall playback."""
    browsing.wait_until(
        "player.buffered.length && player.buffered.end(player.buffered.length - 1) > player.duration - 0.05"
    )


def play_to_the_end(browsing: Browsing) -> None:
    """Play at double speed until one playback has no problem, up to PLAYS times.

    A busy machine may stall one playback; a faulty video stalls every one.
    """
    assert browsing.problems == []
    stalls = _play_once(browsing)
    for _ in range(PLAYS - 1):
        if not stalls:
            break
        browsing.problems.clear()
        browsing.page.reload()
        stalls = _play_once(browsing)
    assert stalls == []


def _play_once(browsing: Browsing) -> list[str]:
    """Play to the end, assert that there are no problems except stalls, and return these."""
    page = browsing.page
    wait_until_fully_buffered(browsing)
    page.evaluate("() => { player.muted = true; player.playbackRate = 2; return player.play(); }")
    browsing.wait_until("player.ended")
    played = page.evaluate(
        """() => ({
            duration: player.duration, end: player.currentTime, ranges: player.played.length,
            corrupted: player.getVideoPlaybackQuality().corruptedVideoFrames, native: !player.src.startsWith("blob:"),
        })"""
    )
    assert played["duration"] == pytest.approx(CLIP_S, abs=0.05)
    assert played["end"] == pytest.approx(CLIP_S, abs=0.05)
    assert (played["corrupted"], played["native"]) == (0, False)
    assert set(browsing.problems) <= STALLED
    stalls = list(browsing.problems)
    if played["ranges"] != 1:
        stalls.append(f"{played['ranges']} ranges were played")
    return stalls


def choose_smaller_rung(browsing: Browsing) -> None:
    """Choose a rung from the menu during playback, and wait until its frames are shown."""
    page = browsing.page
    page.reload()
    page.wait_for_selector(f"{QUALITY}:has-text('Audio only')", state="attached")
    assert browsing.options("quality")[1:] == ["360p", "240p", "Audio only"]
    # Play slowly until the rung is chosen: hls.js switches at the next segment boundary, and the
    # video has only two.
    page.evaluate("() => { player.muted = true; player.playbackRate = 0.5; return player.play(); }")
    browsing.wait_until("player.videoHeight === 360")
    browsing.choose("quality", "240p")
    page.evaluate("() => { player.playbackRate = 2; }")
    browsing.wait_until("player.videoHeight === 240")


def test_upload_plays_to_its_end_when_a_container_has_transcoded_it(
    browsing: Browsing, clip: Path, program_environment: dict[str, str]
) -> None:
    video = upload(browsing, clip)
    page = browsing.page
    assert page.inner_text("h1") == "A lecture"
    assert page.locator(".badge").inner_text() == "Waiting"
    run_container(video, program_environment)
    # The page notices the publication without a reload.
    page.wait_for_selector(QUALITY, state="attached")
    assert page.locator(".badge").inner_text() == "Ready"
    play_to_the_end(browsing)
    # hls.js reports each load that a rung switch aborts, so problems are no longer checked.
    choose_smaller_rung(browsing)


def test_uploaded_file_plays_and_seeks_when_nothing_is_published(browsing: Browsing, clip: Path) -> None:
    video = upload(browsing, clip)
    planned(claimed(submitted_attempt(video)), plays_directly=True)
    page = browsing.page
    # The page notices that there is something to watch without a reload by hand.
    page.wait_for_selector(PLAYER)
    browsing.wait_until("player.readyState >= 1")
    page.evaluate("() => { player.muted = true; player.currentTime = 10; return player.play(); }")
    browsing.wait_until("player.currentTime > 11")
    assert page.evaluate("player.duration") == pytest.approx(CLIP_S, abs=0.1)
    assert page.locator(".badge").inner_text() == "Processing"
    assert browsing.problems == []


@pytest.mark.long
def test_playback_continues_when_a_new_version_is_published(
    browsing: Browsing, tmp_path: Path, program_environment: dict[str, str]
) -> None:
    video = upload(browsing, make_clip(tmp_path / "short.mp4", size="160x90", duration_s=2))
    run_container(video, program_environment)
    again = request_again(video_id=video.pk)
    page = browsing.page
    browsing.open(f"/videos/{video.pk}/")
    assert page.locator(".badge").inner_text() == "Updating"
    wait_until_fully_buffered(browsing)
    page.evaluate("() => { player.muted = true; return player.play(); }")
    browsing.wait_until("player.currentTime > 0.5")
    run_container(video, program_environment)
    page.wait_for_selector(".badge.ready")
    assert page.evaluate("player.currentTime") > 0.5
    assert str(again.job_id) not in str(page.get_attribute(PLAYER, "data-playlist"))
    page.click("#newer button")
    browsing.wait_until(f"player.dataset.playlist.includes('{again.job_id}') && player.readyState >= 1")
    assert page.locator("#newer").count() == 0
    # The container runs during playback and may stall it; that must not interrupt the viewer.
    assert set(browsing.problems) <= STALLED


class Outage:
    """The site answers requests for media with 503, beyond what was loaded before it began."""

    def __init__(self) -> None:
        self.is_over = False
        self.refused = 0
        self._ranges: dict[str, set[str]] = {}

    def handle(self, route: Route) -> None:
        """Let the first two ranges of each file pass: what describes the track, and its first segment."""
        ranges = self._ranges.setdefault(route.request.url, set())
        if len(ranges) < 2:
            ranges.add(route.request.headers.get("range", ""))
        if self.is_over or route.request.headers.get("range", "") in ranges:
            route.continue_()
        else:
            self.refused += 1
            route.fulfill(status=503, body="unavailable")


def fatal_errors(browsing: Browsing) -> int:
    browsing.page.evaluate("0")  # Playwright passes on events during its own calls
    return sum("fatal" in each for each in browsing.problems)


@pytest.mark.long
def test_playback_continues_where_it_was_when_the_server_was_unavailable(
    browsing: Browsing, clip: Path, program_environment: dict[str, str]
) -> None:
    page, outage = browsing.page, Outage()
    video = upload(browsing, clip)
    page.goto("about:blank")
    run_container(video, program_environment)
    page.route("**/media/**/*.mp4", outage.handle)
    browsing.open(f"/videos/{video.pk}/")
    browsing.wait_until("player.buffered.length && player.buffered.end(0) > 1")
    page.evaluate("() => { player.muted = true; player.currentTime = 10; return void player.play(); }")
    # hls.js gives up twice, and is started again.
    wait_for(lambda: fatal_errors(browsing) > 1, what="two fatal errors of hls.js")
    assert page.inner_text(MESSAGE).startswith("The server cannot be reached.")
    assert page.evaluate("[player.currentTime, player.seeking]") == [10, True]
    outage.is_over = True
    browsing.wait_until("player.currentTime > 11")
    assert page.is_hidden(MESSAGE)
    assert outage.refused > 0


@pytest.mark.long
def test_player_gives_up_when_the_media_are_gone(
    browsing: Browsing, clip: Path, program_environment: dict[str, str]
) -> None:
    page = browsing.page
    video = upload(browsing, clip)
    page.goto("about:blank")
    run_container(video, program_environment)
    page.route("**/media/**/*.m3u8", lambda route: route.fulfill(status=404, body="gone"))
    browsing.open(f"/videos/{video.pk}/")
    page.wait_for_selector(MESSAGE, state="visible")
    assert page.inner_text(MESSAGE) == "The video could not be loaded. Reload the page to try again."


@pytest.mark.long
def test_page_names_the_missing_library_when_hls_js_is_not_installed(
    browsing: Browsing, tmp_path: Path, program_environment: dict[str, str]
) -> None:
    video = upload(browsing, make_clip(tmp_path / "short.mp4", size="160x90", duration_s=1))
    run_container(video, program_environment)
    page = browsing.page
    page.route("**/vendor/hls.js", lambda route: route.abort())
    # Newer Chromium versions play HLS natively; this test is about browsers that do not.
    page.add_init_script("HTMLMediaElement.prototype.canPlayType = () => '';")
    browsing.open(f"/videos/{video.pk}/")
    page.wait_for_selector(MESSAGE, state="visible")
    assert "hls.js is missing" in page.inner_text(MESSAGE)


@pytest.mark.long
def test_page_explains_the_failure_and_deletes_when_the_file_is_not_a_video(
    browsing: Browsing, tmp_path: Path, program_environment: dict[str, str]
) -> None:
    broken = tmp_path / "notes.mp4"
    broken.write_text("These are notes, not a video.")
    video = upload(browsing, broken, title="")
    page = browsing.page
    assert page.inner_text("h1") == "notes"
    run_container(video, program_environment, exit_code=ExitCode.INPUT_REJECTED)
    page.wait_for_selector(".badge.failed")
    assert page.inner_text("[data-part=message]") == Job.objects.get().reason_message
    page.click("text=Delete …")
    page.click("button:has-text('Delete')")
    page.wait_for_url(f"{browsing.url}/")
    assert "was deleted" in page.inner_text(".messages")
    assert not Job.objects.filter(state__in=ACTIVE_JOB_STATES).exists()
    assert browsing.problems == []


def test_upload_form_shows_an_error_when_the_file_is_empty(browsing: Browsing, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    page = browsing.page
    browsing.send_files(str(empty))
    page.wait_for_selector("#uploads .errors", state="visible")
    assert page.inner_text("#uploads .errors") == "The file is empty."
    assert page.is_enabled("#upload [type=submit]")
    page.click("#upload [type=submit]")
    assert page.inner_text("#id_source_error") == "Choose a video file."
    described = page.get_attribute("[name=source]", "aria-describedby")
    assert (described, page.get_attribute("[name=source]", "aria-invalid")) == (
        "id_source_helptext id_source_error",
        "true",
    )
    assert not Video.objects.exists()


def test_upload_works_when_javascript_is_disabled(browsing: Browsing, tmp_path: Path) -> None:
    cookies = browsing.page.context.cookies()
    plain = browsing.page.context.browser.new_context(java_script_enabled=False)
    plain.add_cookies(cookies)
    page = plain.new_page()
    page.goto(f"{browsing.url}/")
    page.set_input_files(
        "[name=source]", {"name": "강의 1.mp4", "mimeType": "video/mp4", "buffer": b"not decoded here"}
    )
    page.click("#upload [type=submit]")
    page.wait_for_url("**/videos/**")
    assert page.inner_text("h1") == "강의 1"
    assert Job.objects.get().state == "QUEUED"
