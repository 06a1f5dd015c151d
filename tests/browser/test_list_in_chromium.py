"""The list and its uploads in a real browser: what other videos do takes nothing from the person who uses the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.sessions.models import Session

from tasks.models import Video
from tests.factories import published, uploaded_video
from tests.polling import wait_for

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from playwright.sync_api import Page, Route

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def file(name: str, content: bytes = b"not decoded here") -> dict[str, Any]:
    return {"name": name, "mimeType": "video/mp4", "buffer": content}


def card(video: Video) -> str:
    return f"[data-card='{video.pk}']"


class Held:
    """Requests of a page that wait until the test lets them go."""

    def __init__(self, page: Page, url: str) -> None:
        self.routes: list[Route] = []
        page.route(url, lambda route: self.routes.append(route))  # noqa: PLW0108 - Playwright marks its handlers
        self.page = page

    def wait(self, count: int) -> None:
        def has_arrived() -> bool:
            self.page.evaluate("0")  # Playwright passes on events during its own calls
            return len(self.routes) >= count

        wait_for(has_arrived, what=f"{count} requests")

    def release(self) -> None:
        routes, self.routes[:] = list(self.routes), []
        for route in routes:
            route.continue_()


def remember_page(browsing: Browsing) -> list[str]:
    """Mark the document, and return a list that gets every dialog from now on."""
    dialogs: list[str] = []

    def accept(dialog: Any) -> None:
        dialogs.append(dialog.type)
        dialog.accept()

    browsing.page.on("dialog", accept)
    browsing.page.evaluate("() => { window.isSamePage = true; }")
    return dialogs


def test_list_keeps_a_form_that_is_filled_in_when_another_video_becomes_ready(browsing: Browsing) -> None:
    page, busy = browsing.page, uploaded_video(title="Waves")
    browsing.open("/")
    dialogs = remember_page(browsing)
    page.click("#upload-panel > summary")
    page.set_input_files("[name=source]", file("optics.mp4"))
    page.fill("[name=title]", "Optics")
    page.evaluate("document.querySelector('[name=title]').setSelectionRange(1, 3)")
    page.evaluate("scrollTo(0, 150)")
    title_link = page.query_selector(f"{card(busy)} h2 a")
    published(busy)
    page.wait_for_selector(f"{card(busy)} .duration")
    assert page.is_hidden(f"{card(busy)} .status-line")
    assert page.inner_text("#announcements") == "Waves: Ready. The video is ready to watch."
    found = page.evaluate(
        """(link) => {
            const title = document.querySelector("[name=title]");
            return [window.isSamePage, title.value, document.querySelector("[name=source]").files[0].name, scrollY,
                document.activeElement === title, title.selectionStart, title.selectionEnd, link.isConnected];
        }""",
        title_link,
    )
    assert found == [True, "Optics", "optics.mp4", 150, True, 1, 3, True]
    assert (dialogs, browsing.problems) == ([], [])


def test_upload_continues_without_a_question_when_another_video_becomes_ready(browsing: Browsing) -> None:
    page, busy = browsing.page, uploaded_video(title="Waves")
    browsing.open("/")
    dialogs = remember_page(browsing)
    held = Held(page, "**/upload/")
    browsing.send_files(file("optics.mp4"), title="Optics")
    held.wait(1)
    published(busy)
    page.wait_for_selector(f"{card(busy)} .duration")
    assert (page.evaluate("window.isSamePage"), dialogs) == (True, [])
    held.release()
    page.wait_for_selector("#uploads [data-state=done]")
    new = Video.objects.get(title="Optics")
    # The new video is the first card, and is kept up to date like the others.
    page.wait_for_selector(f".cards > :first-child{card(new)}")
    assert page.inner_text("h1 .count") == "2"
    published(new)
    page.wait_for_selector(f"{card(new)} .duration")
    assert (page.evaluate("window.isSamePage"), dialogs, browsing.problems) == (True, [], [])


@pytest.mark.long
def test_leaving_is_questioned_only_while_an_upload_is_in_flight(browsing: Browsing) -> None:
    page = browsing.page
    dialogs = remember_page(browsing)
    held = Held(page, "**/upload/")
    browsing.send_files(file("optics.mp4"))
    held.wait(1)
    page.reload()
    assert dialogs == ["beforeunload"]
    page.unroute("**/upload/")
    browsing.send_files(file("waves.mp4"))
    page.wait_for_selector("#uploads [data-state=done]")
    page.reload()
    assert dialogs == ["beforeunload"]


@pytest.mark.long
def test_other_files_are_uploaded_when_one_fails_and_one_is_cancelled(browsing: Browsing) -> None:
    page = browsing.page
    held = Held(page, "**/upload/")
    page.set_input_files("[name=source]", [file("1.mp4"), file("2.mp4"), file("3.mp4", b""), file("4.mp4")])
    assert page.is_hidden("[name=title]")
    assert page.inner_text("#id_source_helptext") == "4 files, 0.0 MiB: each is named by its file"
    page.click("#upload [type=submit]")
    held.wait(1)
    states = "[...document.querySelectorAll('#uploads > li')].map((row) => row.dataset.state)"
    assert page.evaluate(states) == ["uploading", "waiting", "waiting", "waiting"]
    page.focus("[aria-label='Cancel the upload of 2.mp4']")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.ariaLabel") == "Upload 2.mp4 again"
    held.release()
    held.wait(1)  # the third file
    held.release()
    held.wait(1)
    held.release()
    page.unroute("**/upload/")
    browsing.wait_until(f'JSON.stringify({states}) === \'["done","cancelled","failed","done"]\'')
    assert page.locator("#uploads .errors li").all_inner_texts() == ["The upload was cancelled.", "The file is empty."]
    page.keyboard.press("Enter")
    browsing.wait_until(f"{states}[1] === 'done'")
    page.wait_for_selector(".cards > :first-child h2 >> text=2")
    assert page.locator(".card h2").all_inner_texts() == ["2", "4", "1"]
    assert Video.objects.count() == 3


@pytest.mark.long
def test_upload_creates_one_video_when_the_first_response_was_lost_and_the_server_was_unavailable(
    browsing: Browsing,
) -> None:
    page, requests = browsing.page, []

    def handle(route: Route) -> None:
        requests.append(route)
        if len(requests) == 1:
            route.fetch()
            route.abort()
        elif len(requests) == 2:
            route.fulfill(status=503, body="unavailable")
        else:
            route.continue_()

    page.route("**/upload/", handle)
    browsing.send_files(file("optics.mp4"))
    page.wait_for_selector("text=The connection was lost. The upload will start again automatically.")
    page.wait_for_selector("#uploads [data-state=done]")
    assert (len(requests), Video.objects.count()) == (3, 1)


@pytest.mark.long
def test_dropped_files_are_chosen_when_they_are_dropped_anywhere_on_the_page(browsing: Browsing) -> None:
    page = browsing.page
    uploaded_video()
    browsing.open("/")
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            for (const name of ["1.mp4", "2.mp4"]) dataTransfer.items.add(new File(["x"], name, { type: "video/mp4" }));
            const drop = (type) => document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
            drop("dragenter");
            window.isMarked = document.getElementById("upload-panel").classList.contains("drop-here");
            window.isLeft = drop("dragover") || drop("drop");
        }"""
    )
    assert page.evaluate("[window.isMarked, window.isLeft]") == [True, False]
    assert page.evaluate("[...document.querySelector('[name=source]').files].map(({ name }) => name)") == [
        "1.mp4",
        "2.mp4",
    ]
    page.keyboard.press("Enter")  # the focus is on the button
    page.wait_for_selector("#uploads > :last-child[data-state=done]")
    assert sorted(Video.objects.values_list("title", flat=True)) == ["1", "2", "Lecture 1"]


@pytest.mark.long
@pytest.mark.parametrize("is_polling", [True, pytest.param(False, marks=pytest.mark.long)])
def test_list_keeps_a_form_and_sends_it_when_the_person_was_signed_out_meanwhile(
    browsing: Browsing, admin_user: User, *, is_polling: bool
) -> None:
    page = browsing.page
    video = uploaded_video(title="Waves")
    if not is_polling:
        published(video)
    browsing.open("/")
    dialogs = remember_page(browsing)
    page.click("#upload-panel > summary")
    page.set_input_files("[name=source]", file("optics.mp4"))
    Session.objects.all().delete()
    if not is_polling:
        page.click("#upload [type=submit]")
    notice = page.wait_for_selector(".signed-out")
    assert notice is not None
    assert notice.inner_text() == "You have been signed out. What you see here is kept. Sign in in a new tab"
    if is_polling:
        page.click("#upload [type=submit]")
    page.wait_for_selector("#uploads .errors >> text=You have been signed out. Sign in again.")
    with page.context.expect_page() as opened:
        page.click(".signed-out a")
    login = opened.value
    login.fill("[name=username]", admin_user.get_username())
    login.fill("[name=password]", "password")
    login.click("main [type=submit]")
    login.wait_for_url(f"{browsing.url}/")
    login.close()
    if is_polling:
        page.wait_for_selector(".signed-out", state="detached")
    page.click("text=Try again")
    page.wait_for_selector("#uploads [data-state=done]")
    assert page.locator(".signed-out").count() == 0
    assert (page.evaluate("window.isSamePage"), dialogs) == (True, [])


@pytest.mark.long
def test_card_reports_a_deletion_and_keeps_its_place_when_its_video_is_deleted(browsing: Browsing) -> None:
    page, gone = browsing.page, uploaded_video(title="Waves")
    stays = uploaded_video(title="Optics")
    browsing.open("/")
    remember_page(browsing)
    page.focus(f"{card(gone)} h2 a")
    gone.delete()
    page.wait_for_selector(f"{card(gone)} >> text=“Waves” was deleted.")
    assert page.evaluate(f'document.activeElement === document.querySelector("{card(gone)}")')
    assert page.inner_text("h1 .count") == "1"
    assert page.locator(f"{card(stays)} h2").count() == 1
    assert page.evaluate("window.isSamePage") is True


def test_form_works_and_the_list_is_current_when_back_brings_the_page_home(browsing: Browsing) -> None:
    page, waiting, gone = browsing.page, uploaded_video(title="Waves"), published(uploaded_video(title="Old"))
    browsing.open("/")
    remember_page(browsing)
    page.evaluate("addEventListener('pageshow', ({ persisted }) => { window.isPersisted = persisted; })")
    browsing.send_files(file("optics.mp4"))
    browsing.open_uploaded()
    published(waiting)
    gone.delete()
    page.go_back(wait_until="commit")  # nothing is loaded
    page.wait_for_selector(f"{card(waiting)} .duration")
    assert page.evaluate("[window.isSamePage, window.isPersisted]") == [True, True]
    page.wait_for_selector(f"{card(gone)} >> text=“Old” was deleted.")
    browsing.send_files(file("light.mp4"))
    page.wait_for_selector("#uploads > :last-child[data-state=done]")
    page.wait_for_selector(".cards > :first-child h2 >> text=light")
    assert page.locator(".card h2").all_inner_texts() == ["light", "optics", "Waves"]
