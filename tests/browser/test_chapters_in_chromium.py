"""The chapters under the player in a real browser, of a file that a real container has transcoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.test_pages_in_chromium import STALLED, make_clip, run_container, upload
from tests.media.chaptered import mux_chapters

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.long
def test_chapters_seek_and_mark_the_current_one_when_they_are_clicked(
    browsing: Browsing, tmp_path: Path, program_environment: dict[str, str]
) -> None:
    clip = make_clip(tmp_path / "plain.mp4", size="160x90", duration_s=4)
    rows = [(0, 1000, "Welcome"), (1000, 2500, "<b>Proof</b> & 증명"), (2500, 4000, "Questions")]
    video = upload(browsing, mux_chapters(clip, tmp_path / "lecture.mp4", rows))
    page = browsing.page
    page.goto("about:blank")
    run_container(video, program_environment)
    browsing.open(f"/videos/{video.pk}/")
    buttons = page.locator(".chapters button")
    assert buttons.all_inner_texts() == ["0:00\nWelcome", "0:01\n<b>Proof</b> & 증명", "0:02\nQuestions"]
    browsing.wait_until("player.readyState >= 1")
    current = page.locator(".chapters [aria-current]")
    assert current.inner_text() == "0:00\nWelcome"
    buttons.nth(2).click()
    assert page.evaluate("[player.currentTime, player.paused]") == [2.5, True]
    browsing.wait_until("document.querySelector('.chapters [aria-current]').textContent.includes('Questions')")
    buttons.nth(1).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("player.currentTime") == 1
    browsing.wait_until("document.querySelector('.chapters [aria-current]').textContent.includes('Proof')")
    assert current.count() == 1
    # Also after hls.js has attached, and without being shown as captions.
    browsing.wait_until("[...player.textTracks].some((track) => track.kind === 'chapters' && track.cues?.length === 3)")
    tracks = "[...player.textTracks].map(({ kind, mode, cues }) => [kind, mode, [...cues].map((cue) => [cue.startTime, cue.endTime])])"
    assert page.evaluate(tracks) == [["chapters", "hidden", [[0, 1], [1, 2.5], [2.5, 4]]]]
    assert page.evaluate("[...player.textTracks[0].cues].map((cue) => cue.getCueAsHTML().textContent)[1]") == rows[1][2]
    assert page.locator("track[default]").count() == 0
    assert set(browsing.problems) <= STALLED
