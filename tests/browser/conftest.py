"""Debian's Chromium on the site under gunicorn, and the problems it reports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from django.db import connections
from playwright.sync_api import sync_playwright

from project.local.frontend import install_frontend
from project.local.servers.ports import free_port
from project.local.servers.server import Service
from tests.browser.browsing import Browsing
from tests.browser.lecture import transcode_lecture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.contrib.auth.models import User
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage

    from tests.media.runs import Transcoded

FLAGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
ROOT = Path(__file__).resolve().parents[2]

_LIMIT_MS = 20_000


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    return found


@contextmanager
def gunicorn(environment: Mapping[str, str], folder: Path) -> Iterator[Service]:
    """Run the site under gunicorn at its environment's SITE_URL, as the Procfile does, with static files collected."""
    messages: list[str] = []
    assert install_frontend(report=messages.append), messages
    environment = {**environment, "STATIC_ROOT": str(folder / "static"), "DEBUG": "off"}
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True, timeout=60)
    url = environment["SITE_URL"]
    command = ["-m", "gunicorn", "project.wsgi", "--config", "python:project.web.server"]
    web = Service(
        name="gunicorn",
        command=[sys.executable, *command, "--bind", url.removeprefix("http://")],
        environment=environment,
        folder=ROOT,
        log_path=folder / "gunicorn.log",
    )
    try:
        web.wait_until(lambda: urlopen(f"{url}/static/batchreel/site.css"), deadline_s=30)  # noqa: S310 - our own URL
        yield web
    finally:
        web.stop()


@pytest.fixture(scope="session")
def site(program_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a site that stores its files in a folder."""
    url = f"http://127.0.0.1:{free_port()}"
    with gunicorn({**program_environment, "SITE_URL": url}, tmp_path_factory.mktemp("site")):
        yield url


def record_violations(browser: Browser) -> list[str]:
    """Return a list to which every page of the browser adds what its content security policy refuses."""
    found: list[str] = []

    def on_message(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            found.append(message.text)

    create = browser.new_context

    def new_context(**options: Any) -> BrowserContext:
        context = create(**options)
        context.on("console", on_message)
        return context

    browser.new_context = new_context  # type: ignore[method-assign] # Playwright reports no context that is created
    return found


@contextmanager
def browsing_on(url: str, *, chromium: str, user: User) -> Iterator[Browsing]:
    """Open Chromium on the site at this URL, signed in through the login page.

    Fails at the end if the content security policy refused anything, on any page of the browser.
    """
    with sync_playwright() as playwright:
        # With the back/forward cache, which Playwright disables and people have.
        browser = playwright.chromium.launch(
            executable_path=chromium, args=FLAGS, ignore_default_args=["--disable-back-forward-cache"]
        )
        violations = record_violations(browser)
        page = browser.new_context(viewport={"width": 390, "height": 800}).new_page()
        page.set_default_timeout(_LIMIT_MS)
        browsing = Browsing(page, url, violations=violations)
        browsing.open("/")
        page.fill("[name=username]", user.get_username())
        page.fill("[name=password]", "password")
        page.click("[type=submit]")
        page.wait_for_url(f"{url}/")
        browsing.listen()
        yield browsing
        browser.close()
        assert violations == []
        # Playwright marks this thread as having an event loop, so the test got its own database
        # connection, which nothing else would close.
        connections.close_all()


@pytest.fixture
def browsing(chromium: str, site: str, admin_user: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browsing]:
    """Yield Chromium, signed in as a superuser."""
    # Playwright leaves its event loop marked as running in this thread, although nothing here is
    # asynchronous.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with browsing_on(site, chromium=chromium, user=admin_user) as browsing:
        yield browsing


@pytest.fixture(scope="session")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Return what `transcode_lecture` makes."""
    return transcode_lecture(tmp_path_factory.mktemp("lecture"))
