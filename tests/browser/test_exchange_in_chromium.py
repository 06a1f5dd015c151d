"""Blocks that are exchanged in a real browser: focus, typed text, open details and dialogs stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories import published, uploaded_video

if TYPE_CHECKING:
    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_page_keeps_focus_typed_text_and_open_parts_when_its_video_becomes_ready(browsing: Browsing) -> None:
    page, video = browsing.page, uploaded_video(title="Waves")
    browsing.open(f"/videos/{video.pk}/")
    page.evaluate("() => { window.isSamePage = true; }")
    browsing.wait_until("document.title === '0 % · Waves · Batchreel'")
    page.click(".history summary")
    page.click(".sharing summary")
    page.fill("[name=days]", "7")
    page.focus("text=Delete …")
    published(video)
    browsing.wait_until("document.title === 'Ready · Waves · Batchreel'")
    page.wait_for_selector(".batchreel-player video")
    assert page.inner_text("#announcements") == "Waves: Ready. The video is ready to watch."
    assert "The video was published" in page.inner_text(".history[open]")
    found = page.evaluate(
        "[window.isSamePage, document.activeElement.textContent, document.querySelector('[name=days]').value]"
    )
    assert found == [True, "Delete …", "7"]


BLOCKS = """
<section>
  <div data-block="same"><a href="#">Stays</a></div>
  <div data-block="form"><form action="/a/"><input name="days" value="3"><select name="who"><option>1<option>2</select>
    <input type="checkbox" name="mail"><button>%s</button></form></div>
  <div data-block="dialog"><dialog>Sure?</dialog><p>%s</p></div>
  <div data-block="gone"><button>%s</button></div>
</section>
"""


def test_exchange_keeps_what_a_person_does_when_a_block_has_changed(browsing: Browsing) -> None:
    page = browsing.page
    page.evaluate(
        """async ([before, after]) => {
            const { exchange } = await import("/static/batchreel/live/exchange.js");
            const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
            window.inserted = [];
            document.addEventListener("batchreel:inserted", ({ detail }) => inserted.push(detail.dataset.block));
            const root = document.body.appendChild(document.importNode(parsed(before), true));
            window.block = (name) => root.querySelector(`[data-block=${name}]`);
            window.link = block("same").firstChild;
            block("form").querySelector("[name=days]").value = "7";
            block("form").querySelector("select").selectedIndex = 1;
            block("form").querySelector("[name=mail]").checked = true;
            block("dialog").querySelector("dialog").showModal();
            block("gone").querySelector("button").focus();
            window.again = () => exchange(root, parsed(after));
        }""",
        [
            BLOCKS % ("Change", "old", "Cancel"),
            (BLOCKS % ("Save", "new", "")).replace("<button></button>", "It is over"),
        ],
    )
    # A modal dialog has the focus until it is closed.
    page.evaluate("again()")
    assert page.evaluate("[block('dialog').innerText.includes('old'), link.isConnected, inserted.join()]") == [
        *(True, True, "form,gone"),
    ]  # fmt: skip
    form = "block('form')"
    assert page.evaluate(
        f"[{form}.querySelector('[name=days]').value, {form}.querySelector('select').selectedIndex,"
        f"{form}.querySelector('[name=mail]').checked, {form}.querySelector('button').textContent]"
    ) == ["7", 1, True, "Save"]
    page.evaluate("block('dialog').querySelector('dialog').close()")
    browsing.wait_until("block('dialog').innerText.includes('new')")
    # The same HTML again changes nothing.
    assert page.evaluate("(again(), inserted.join())") == "form,gone,dialog"


@pytest.mark.long
def test_focus_moves_to_the_block_when_its_button_is_gone(browsing: Browsing) -> None:
    page = browsing.page
    page.evaluate(
        """async () => {
            const { exchange } = await import("/static/batchreel/live/exchange.js");
            const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
            const root = document.body.appendChild(document.importNode(parsed(`<div><p data-block="a"><button>Cancel`), true));
            root.querySelector("button").focus();
            exchange(root, parsed(`<div><p data-block="a">It is over.`));
        }"""
    )
    assert page.evaluate("document.activeElement.textContent") == "It is over."


@pytest.mark.long
def test_focus_stays_in_its_block_when_the_focused_element_is_exchanged(browsing: Browsing) -> None:
    page, video = browsing.page, uploaded_video(title="Waves")
    browsing.open(f"/videos/{video.pk}/")
    page.click(".history summary")
    page.focus(".history summary")
    published(video)
    page.wait_for_selector(".badge.ready")
    assert page.evaluate("document.activeElement.localName") == "summary"
    assert page.evaluate("document.activeElement.parentElement.open") is True
