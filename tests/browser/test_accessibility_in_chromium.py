"""axe-core finds no violation on the pages of the list, in light and dark, on a desk and on a narrow phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.models import Video
from tests.browser.accessibility import installed_axe
from tests.database.web.test_pages import dead_video, rejected_video
from tests.factories import claimed, lecturer, planned, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from typing import Any, Literal

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def addresses() -> list[str]:
    """Return the addresses of pages with every kind of card, button and message."""
    published()
    Video.objects.update(owner=lecturer(), title="A long title of a lecture " * 7)
    failed = rejected_video()
    dead_video()
    planned(claimed(submitted_attempt(uploaded_video())))
    Video.objects.bulk_create([Video(title=f"Video {number}", source="s") for number in range(30)])
    return ["/", "/?q=Video&sort=oldest&page=2", "/?q=none", f"/videos/{failed.pk}/", "/nothing/", "/login/?next=/"]


@pytest.mark.parametrize(("scheme", "width_px"), [("light", 1280), pytest.param("dark", 320, marks=pytest.mark.long)])
def test_axe_finds_nothing_on_the_pages_of_the_list(
    browsing: Browsing, addresses: list[str], scheme: Literal["light", "dark"], width_px: int
) -> None:
    browser = browsing.page.context.browser
    assert browser is not None
    context = browser.new_context(
        bypass_csp=True,  # axe evaluates text
        color_scheme=scheme,
        viewport={"width": width_px, "height": 800},
        storage_state=browsing.page.context.storage_state(),
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    found: dict[str, Any] = {}
    for address in addresses:
        if address.startswith("/login/"):
            context.clear_cookies()
        page.goto(f"{browsing.url}{address}")
        if address == "/":
            page.click("#upload-panel > summary")
            page.set_input_files("[name=source]", [])
            page.click("#upload [type=submit]")
        if address.startswith("/login/"):
            page.fill("[name=username]", "nobody")
            page.fill("[name=password]", "wrong")
            page.click("main [type=submit]")
            page.wait_for_selector("#login-error")
        page.add_script_tag(path=installed_axe())
        violations = page.evaluate("async () => (await axe.run()).violations")
        found[address] = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in violations]
        assert page.evaluate("document.documentElement.scrollWidth") <= width_px, address
    context.close()
    assert found == {address: [] for address in addresses}
