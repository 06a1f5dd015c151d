"""A teacher edits the text of captions in a real browser, with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.models import CaptionPurpose, Captions
from tasks.services.editing.captions import add_captions, editable_text
from tests.factories import published

if TYPE_CHECKING:
    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEXT = "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\nThe cell is the unit of life.\n\n00:00:04.500 --> 00:00:07.000\nMy toe see\n"
FAULTY = TEXT.replace("00:00:04.500 -->", "4,5 -->")


def test_text_is_corrected_at_its_line_and_saved_when_a_person_uses_the_keyboard(browsing: Browsing) -> None:
    video = published()
    captions = add_captions(
        video_id=video.pk, content=TEXT.encode(), language="en", purpose=CaptionPurpose.SUBTITLES, name=""
    )
    Captions.objects.update(transcribed_source="the file")
    page = browsing.page
    page.goto(f"{browsing.url}/videos/{video.pk}/edit/")
    page.focus(".tracks summary")
    page.keyboard.press("Enter")
    page.focus("text=Edit the text")
    page.keyboard.press("Enter")
    page.wait_for_selector("#text-text")
    assert page.input_value("#text-text") == TEXT
    assert page.get_attribute("#text-text", "lang") == "en"
    page.fill("#text-text", FAULTY)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Line 6: “4,5 --> 00:00:07.000” has no times that can be read.")
    page.focus("[role=alert] a")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "text-text"
    assert page.input_value("#text-text") == FAULTY
    page.fill("#text-text", TEXT.replace("My toe see", "Mitosis"))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The captions “English” were saved.")
    captions.refresh_from_db()
    assert editable_text(captions) == TEXT.replace("My toe see", "Mitosis")
    assert not captions.is_automatic
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
