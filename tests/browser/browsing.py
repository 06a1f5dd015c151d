"""A browser page on the site, and the problems that occur in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.polling import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Response

PLAYER = ".batchreel-player video"
MESSAGE = ".batchreel-player [data-part=error]"
QUALITY = "[data-menu=quality] media-chrome-menu-item"
_NAMED = f"Object.defineProperty(window, 'player', {{ get: () => document.querySelector('{PLAYER}') }});"
"""Expressions of tests call the page's video `player`."""


@dataclass
class Browsing:
    """A Chromium page on the site, and the problems that have occurred in it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    """What the site's content security policy refused, on any page of this browser."""

    def __post_init__(self) -> None:
        self.page.add_init_script(_NAMED)

    def open(self, path: str) -> None:
        """Open a page of the site."""
        self.page.goto(f"{self.url}{path}")

    def send_files(self, *files: Any, title: str = "") -> None:
        """Choose files in the form for uploads, and send them."""
        if self.page.locator("#upload-panel:not([open])").count():
            self.page.click("#upload-panel > summary")
        self.page.set_input_files("[name=source]", list(files))
        if title:
            self.page.fill("[name=title]", title)
        self.page.click("#upload [type=submit]")

    def open_uploaded(self) -> None:
        """Wait until the newest upload is complete, and open the page of its video."""
        self.page.click("#uploads > :last-child[data-state=done] a")
        self.page.wait_for_url("**/videos/**")

    def wait_until(self, expression: str, *, limit_s: float = 60) -> None:
        """Wait until a JavaScript expression is true.

        Playwright's own method evaluates text in the page, which the site's CSP forbids.
        """
        wait_for(lambda: self.page.evaluate(expression), limit_s=limit_s, what=expression)

    def choose(self, entry: str, label: str) -> None:
        """Choose from the player's menu of settings, as with a mouse."""
        page, button = self.page, ".batchreel-player media-settings-menu-button"
        page.hover(".batchreel-player .controls", position={"x": 5, "y": 5})
        page.click(button)
        page.click(f"[data-entry={entry}]")
        page.click(f"[data-menu={entry}] media-chrome-menu-item:text-is('{label}')")
        page.click(button)  # the menu stays open for another entry
        page.wait_for_selector(".batchreel-player media-settings-menu", state="hidden")

    def options(self, entry: str) -> list[str]:
        """Return what can be chosen of an entry of the player's menu of settings."""
        return self.page.locator(f"[data-menu={entry}] media-chrome-menu-item").all_text_contents()

    def listen(self) -> None:
        """Record script errors, console errors and warnings, and responses with status 400 or higher from now on."""
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._on_console_message)
        self.page.on("response", self._on_response)

    def _on_console_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")
