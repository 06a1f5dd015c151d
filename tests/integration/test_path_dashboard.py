"""The dashboard shows, to who has credentials and to nobody else, the Celery tasks of a video on its way."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from django.conf import settings

from project.local.servers.ports import free_port
from tests.integration.path_videos import upload, wait_for_attempt
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREDENTIALS = "operator:secret of this test"
_END_LIMIT_S = 10


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: str


class Dashboard:
    """A running dashboard, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, *, credentials: str | None = None) -> Answer:
        """GET a path; status 0 while nobody listens."""
        headers = {}
        if credentials is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        except ConnectionRefusedError:
            return Answer(0, "")
        finally:
            connection.close()

    def finished_tasks(self) -> list[dict[str, Any]]:
        """What the dashboard tells of each Celery task that ended well."""
        answer = self.ask("/api/tasks?state=SUCCESS", credentials=CREDENTIALS)
        assert answer.status == http.HTTPStatus.OK, answer
        return list(json.loads(answer.body).values())

    def finished_names(self) -> set[str]:
        """The names of the Celery tasks that ended well."""
        return {each["name"] for each in self.finished_tasks()}

    def followed_wakeups(self) -> list[dict[str, Any]]:
        """The hints that the dashboard followed from their sending to their end; one of an earlier test it hears only end."""
        return [each for each in self.finished_tasks() if each["name"] == "batchreel.wake" and each["routing_key"]]


@pytest.fixture
def dashboard(site_environment: dict[str, str]) -> Iterator[Dashboard]:
    """A dashboard on the site's broker."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "project.flower", f"--port={port}", "--address=127.0.0.1"],
        cwd=settings.BASE_DIR,
        env={**site_environment, "FLOWER_BASIC_AUTH": CREDENTIALS},
        stderr=subprocess.DEVNULL,
    )
    try:
        dashboard = Dashboard(port)
        wait_for(lambda: dashboard.ask("/healthcheck").status == http.HTTPStatus.OK, what="an answer of the dashboard")
        yield dashboard
    finally:
        process.terminate()
        try:
            process.wait(timeout=_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.usefixtures("running_site")
def test_dashboard_lists_the_tasks_of_a_video_when_credentials_are_right(
    dashboard: Dashboard, short_clip: Path
) -> None:
    # It shows only what it has heard, and the hint is sent once: it must be listening by then.
    wait_for(dashboard.finished_tasks, what="a tick on the dashboard")
    video = upload(short_clip)
    wait_for_attempt(video, state="RUNNING")
    wait_for(
        lambda: dashboard.finished_names() >= {"batchreel.submit", "batchreel.observe"}, what="ticks on the dashboard"
    )
    (hint,) = wait_for(dashboard.followed_wakeups, what="the hint on the dashboard")
    assert (hint["routing_key"], hint["worker"].partition("@")[0]) == ("submit", "path")

    refused = dashboard.ask("/api/tasks")
    assert refused.status == http.HTTPStatus.UNAUTHORIZED
    assert "batchreel" not in refused.body
