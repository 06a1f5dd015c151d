"""The pages' scripts in the reader's language, under the site's content security policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories import claimed, planned, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("language", "error", "details"),
    [
        ("ko", "연결이 끊겼습니다. 다시 시도하세요.", "작업 단위 3개 중 0개"),
        ("de", "Die Verbindung ist unterbrochen. Versuchen Sie es erneut.", "0 von 3 Einheiten"),
    ],
)
def test_scripts_write_the_readers_language_when_the_browser_asks_for_it(
    language: str, error: str, details: str, browsing: Browsing, tmp_path: Path
) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"not decoded")
    page = browsing.page
    page.set_extra_http_headers({"Accept-Language": language})
    video = uploaded_video()
    planned(claimed(submitted_attempt(video)), video_units=2)
    page.goto(f"{browsing.url}/videos/{video.pk}/")
    # Written by progress.js: the template has no estimate and another order.
    page.evaluate("() => { document.querySelector('[data-part=details]').textContent = ''; }")
    page.wait_for_selector(f"[data-part=details]:has-text('{details}')")
    assert page.evaluate("document.documentElement.lang") == language
    assert browsing.problems == []
    page.goto(f"{browsing.url}/")
    page.route("**/upload/", lambda route: route.abort())
    browsing.send_files(str(clip))
    page.wait_for_selector("#uploads .errors li")
    assert page.locator("#uploads .errors li").all_inner_texts() == [error]
