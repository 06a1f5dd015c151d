"""`scripts/dev`: the site that it announces works, and no process outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
import requests
from requests.adapters import HTTPAdapter, Retry  # type: ignore[attr-defined]

from project.local.servers.ports import free_port
from tests.integration.stack_processes import PROJECT_ROOT, StackProcesses, clean_environment
from tests.media.clips import make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END_LIMIT_S = 10.0
"""The limit that scripts/dev promises after Ctrl-C, and after kill -9."""


@dataclass(frozen=True, kw_only=True)
class DevSite:
    """A running `scripts/dev`, and the URLs and password that it printed."""

    process: subprocess.Popen[str]
    log_path: Path
    web: str
    flower: str
    password: str
    processes: StackProcesses

    def has_ended(self) -> bool:
        return not self.processes.find()


def _printed(log_path: Path) -> str:
    text = log_path.read_text()
    return text if "Press Ctrl-C to stop everything." in text else ""


def _responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dev")


@pytest.fixture
def site(folder: Path) -> Iterator[DevSite]:
    processes = StackProcesses(folder)
    log_path = folder / "dev.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [PROJECT_ROOT / "scripts" / "dev", "--state", folder / "state", "--port", str(free_port()), "--empty"],
            env=clean_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell starts its background jobs with SIGINT ignored, which would make Ctrl-C
            # untestable here.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a few instructions
        )
    try:
        overview = wait_for(lambda: _printed(log_path), limit_s=90, what="the overview of the running services")
        lines = dict(re.findall(r"^  (web pages|Flower|login) +(?:admin / )?(\S+)", overview, re.MULTILINE))
        site = DevSite(
            process=process,
            log_path=log_path,
            web=lines["web pages"],
            flower=lines["Flower"],
            password=lines["login"],
            processes=processes,
        )
        for url in (site.web, site.flower):
            wait_for(lambda url=url: _responds(url), limit_s=30, what=f"a response from {url}")
        yield site
    finally:
        # pytest shows it if a test fails.
        sys.stdout.write(log_path.read_text())
        processes.end()
        process.wait(timeout=END_LIMIT_S)


def _token(page: str) -> str:
    return re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]


def _signed_in(site: DevSite, name: str = "admin") -> requests.Session:
    browser = requests.Session()
    # As browsers do: repeat a GET if the server has just closed the idle connection.
    browser.mount("http://", HTTPAdapter(max_retries=Retry(total=3, allowed_methods=["GET"])))
    page = browser.get(site.web, timeout=30)
    form = {"username": name, "password": site.password, "next": "/", "csrfmiddlewaretoken": _token(page.text)}
    page = browser.post(page.url, data=form, timeout=30)
    assert page.url == site.web, "the printed login does not work"
    return browser


def _upload(browser: requests.Session, site: DevSite, clip: Path) -> str:
    """Upload through the form, and return the URL of the video's page."""
    form = {"csrfmiddlewaretoken": _token(browser.get(site.web, timeout=30).text)}
    with clip.open("rb") as content:
        page = browser.post(f"{site.web}upload/", data=form, files={"source": content}, timeout=30)
    assert page.status_code == HTTPStatus.OK
    return page.url


@pytest.mark.long
def test_dev_site_plays_an_upload_and_leaves_no_process_when_interrupted(site: DevSite, tmp_path: Path) -> None:
    browser = _signed_in(site)
    page_url = _upload(browser, site, make_clip(tmp_path / "short.mp4", frames=20, rate="10", audio_s=2.0))
    playlist = wait_for(
        lambda: re.search(r'data-playlist="/([^"]+)"', browser.get(page_url, timeout=30).text),
        limit_s=60,
        what="the player on the video's page",
    )
    assert browser.get(site.web + playlist[1], timeout=30).text.startswith("#EXTM3U")
    assert browser.get(f"{site.web}static/admin/css/base.css", timeout=30).status_code == HTTPStatus.OK
    assert requests.get(f"{site.flower}tasks", timeout=30).status_code == HTTPStatus.UNAUTHORIZED
    assert requests.get(f"{site.flower}tasks", auth=("admin", site.password), timeout=30).status_code == HTTPStatus.OK

    _upload(browser, site, make_clip(tmp_path / "long.mp4", size="640x360", frames=1500, rate="25"))
    wait_for(
        lambda: [line for line in site.processes.find().values() if "ffmpeg" in line and "-filter_complex" in line],
        limit_s=60,
        what="a container in mid-encode",
    )
    os.killpg(site.process.pid, signal.SIGINT)
    site.process.wait(timeout=END_LIMIT_S)
    assert site.has_ended()
    assert "No process is left running" in site.log_path.read_text()


@pytest.mark.long
def test_manage_and_demo_use_the_same_servers_when_the_site_runs(site: DevSite, folder: Path, tmp_path: Path) -> None:
    def run(script: str, *arguments: str | Path) -> str:
        command = [PROJECT_ROOT / "scripts" / script, *arguments, "--state", folder / "state"]
        return subprocess.run(
            command, env=clean_environment(folder), capture_output=True, text=True, check=True, timeout=120
        ).stdout

    clip = make_clip(tmp_path / "lecture.mp4", frames=20, rate="10", audio_s=2.0)
    assert "Using the running `scripts/dev` site." in run("demo", clip)
    count = "from tasks.models import Video; print(Video.objects.filter(owner__username='teacher').count(), 'video')"
    assert "1 video" in run("manage", "shell", "-c", count)
    login_file = folder / "state" / "login.txt"
    assert login_file.stat().st_mode & 0o777 == 0o600
    assert {site.web, site.password, "teacher", "student"} <= set(login_file.read_text().split())
    teacher = _signed_in(site, "teacher")
    assert "lecture" in teacher.get(site.web, timeout=30).text
    assert "lecture" not in _signed_in(site, "student").get(site.web, timeout=30).text
    assert "Task batchreel." not in site.log_path.read_text(), "ticks are logged"


@pytest.mark.long
def test_dev_site_leaves_no_process_when_it_is_killed(site: DevSite) -> None:
    os.kill(site.process.pid, signal.SIGKILL)
    wait_for(site.has_ended, limit_s=END_LIMIT_S, what="the end of all processes that scripts/dev started")
