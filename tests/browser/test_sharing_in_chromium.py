"""A share link in a real browser that nobody is signed in to, on the page and in a frame, until it is revoked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.browsing import PLAYER, Browsing
from tests.browser.test_pages_in_chromium import make_clip, play_to_the_end, run_container, upload

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CLIP_S = 13


def status_of(page: Page, path: str) -> int:
    """Return the status of a request that the page sends, past the browser's cache."""
    status: int = page.evaluate("(path) => fetch(path, { cache: 'no-store' }).then(({ status }) => status)", path)
    return status


@pytest.mark.long
def test_share_link_plays_for_a_guest_until_it_is_revoked(
    browsing: Browsing, program_environment: dict[str, str], tmp_path: Path
) -> None:
    owner = browsing.page
    video = upload(browsing, make_clip(tmp_path / "a lecture.mp4", size="320x240", duration_s=CLIP_S))
    run_container(video, program_environment)
    owner.reload()
    owner.click(".sharing summary")
    owner.fill("[name=days]", "2")
    owner.click("text=Create a share link")
    link = owner.input_value(".share-link input")

    guest = Browsing(owner.context.browser.new_context().new_page(), browsing.url)
    guest.page.set_default_timeout(20_000)
    guest.listen()
    guest.page.goto(link)
    assert guest.page.url == f"{browsing.url}/videos/{video.pk}/"
    assert guest.page.locator("form").count() == 0
    play_to_the_end(guest)
    playlist = guest.page.get_attribute(PLAYER, "data-playlist")
    assert status_of(guest.page, playlist) == 200

    # The embed page in a frame of the same site.
    guest.page.goto(f"{link}embed/")
    assert guest.page.url == f"{browsing.url}/embed/{video.pk}/"
    guest.wait_until("player.readyState >= 1")

    owner.click(".share-link button")
    owner.wait_for_selector("text=The share link was revoked.")
    assert status_of(guest.page, playlist) == 404
    assert status_of(guest.page, f"/videos/{video.pk}/playback/") == 404
    assert guest.page.goto(link).status == 404
    guest.page.goto(f"{browsing.url}/videos/{video.pk}/")
    assert guest.page.url == f"{browsing.url}/login/?next=/videos/{video.pk}/"
