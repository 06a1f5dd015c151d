"""A page of a browser on the site, and everything that goes wrong in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.polling import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Response


@dataclass
class Browsing:
    """A page of Chromium on the site, and everything that went wrong in it."""

    page: Page
    address: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Open a page of the site."""
        self.page.goto(f"{self.address}{path}")

    def wait_until(self, expression: str, *, limit_s: float = 60) -> None:
        """Wait until a script's expression is true. Playwright's own way evaluates text in the page, and the site's CSP forbids that."""
        wait_for(lambda: self.page.evaluate(expression), limit_s=limit_s, what=expression)

    def listen(self) -> None:
        """From now on, note errors of scripts, warnings in the console and answers from 400 on."""
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._on_heartbeat)
        self.page.on("response", self._answered)

    def _on_heartbeat(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")
