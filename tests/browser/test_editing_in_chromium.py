"""A teacher edits a video in a real browser: captions appear in the player, and stay when the file is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.models import Job, Video
from tasks.services.editions.make import make_editions
from tests.browser.test_pages_in_chromium import make_clip, run_container, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SRT = "1\n00:00:00,000 --> 00:00:04,000\n{}\n"
TRACKS = "[...player.textTracks].filter(({ kind }) => kind !== 'chapters')"


def add_captions(browsing: Browsing, file: Path, language: str) -> None:
    """Add a caption file on the page on which a video is edited, with the keyboard where a person would use it."""
    page = browsing.page
    page.set_input_files("#captions-file", str(file))
    page.fill("#captions-language", language)
    page.press("#captions-language", "Enter")


@pytest.mark.long
def test_added_captions_are_shown_and_stay_when_the_file_is_replaced(
    browsing: Browsing, program_environment: dict[str, str], tmp_path: Path
) -> None:
    page = browsing.page
    video = upload(browsing, make_clip(tmp_path / "a lecture.mp4", size="320x240", duration_s=7))
    run_container(video, program_environment)
    page.reload()
    page.click("text=Edit")

    bad, korean = tmp_path / "bad.srt", tmp_path / "korean.srt"
    bad.write_text(SRT.format("x").replace("00:00:04,000", "soon"))
    korean.write_bytes(SRT.format("안녕하세요").encode("cp949"))
    add_captions(browsing, bad, "ko")
    page.click("[role=alert] a")
    assert page.evaluate("document.activeElement.id") == "captions-file"
    assert page.input_value("#captions-language") == "ko"
    add_captions(browsing, korean, "ko")
    page.wait_for_selector("text=was read as CP949")
    assert make_editions() == 1

    page.goto(f"{browsing.url}/videos/{video.pk}/")
    browsing.wait_until(f"{TRACKS}.length === 1")
    page.evaluate(f"() => {{ {TRACKS}[0].mode = 'showing'; player.muted = true; return player.play(); }}")
    browsing.wait_until(f"{TRACKS}[0].cues?.length === 1")
    assert page.evaluate(f"{TRACKS}[0].cues[0].text") == "안녕하세요"
    assert page.evaluate(f"{TRACKS}[0].language") == "ko"

    page.goto(f"{browsing.url}/videos/{video.pk}/edit/")
    page.set_input_files("#replace-source", str(make_clip(tmp_path / "b.mp4", size="320x240", duration_s=8)))
    page.click("text=Replace the file")
    page.wait_for_url(f"{browsing.url}/videos/{video.pk}/")
    run_container(Video.objects.get(), program_environment)
    newest = Job.objects.order_by("-created_at")[0]
    shown = Video.objects.get()
    assert (shown.published_job_id, shown.shown_edit) == (newest.pk, 1)
    assert make_editions() == 0, "the container has made it"
    browsing.problems.clear()
    page.goto(f"{browsing.url}/videos/{video.pk}/")
    browsing.wait_until(f"{TRACKS}.length === 1")
    browsing.wait_until("player.duration > 7.9")
    assert browsing.problems == []
