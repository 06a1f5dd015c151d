"""The dashboard shows the Celery tasks of a video in progress, but only to users with credentials."""

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
from tests.integration.pipeline_videos import upload, wait_for_attempt
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREDENTIALS = "operator:secret of this test"
_END_LIMIT_S = 10


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    body: str


class Dashboard:
    """HTTP client of a running dashboard."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, *, credentials: str | None = None) -> Response:
        """GET a path; the status is 0 while the port refuses connections."""
        headers = {}
        if credentials is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return Response(response.status, response.read().decode())
        except ConnectionRefusedError:
            return Response(0, "")
        finally:
            connection.close()

    def finished_tasks(self) -> list[dict[str, Any]]:
        """Return what the dashboard shows of each Celery task that succeeded."""
        response = self.get("/api/tasks?state=SUCCESS", credentials=CREDENTIALS)
        assert response.status == http.HTTPStatus.OK, response
        return list(json.loads(response.body).values())

    def finished_names(self) -> set[str]:
        """Return the names of the Celery tasks that succeeded."""
        return {each["name"] for each in self.finished_tasks()}

    def tracked_wakeups(self) -> list[dict[str, Any]]:
        """Return the wake-ups that the dashboard tracked from the start; of an earlier test's it sees only the end."""
        return [each for each in self.finished_tasks() if each["name"] == "batchreel.wake" and each["routing_key"]]


@pytest.fixture
def dashboard(site_environment: dict[str, str]) -> Iterator[Dashboard]:
    """Yield a dashboard connected to the site's broker."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "project.flower", f"--port={port}", "--address=127.0.0.1"],
        cwd=settings.BASE_DIR,
        env={**site_environment, "FLOWER_BASIC_AUTH": CREDENTIALS},
        stderr=subprocess.DEVNULL,
    )
    try:
        dashboard = Dashboard(port)
        wait_for(
            lambda: dashboard.get("/healthcheck").status == http.HTTPStatus.OK, what="the dashboard's health check"
        )
        yield dashboard
    finally:
        process.terminate()
        try:
            process.wait(timeout=_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.usefixtures("running_site")
@pytest.mark.long
def test_dashboard_lists_the_tasks_of_a_video_when_credentials_are_right(
    dashboard: Dashboard, short_clip: Path
) -> None:
    # The dashboard shows only events it has received, and the wake-up is sent once: it must be
    # connected by then.
    wait_for(dashboard.finished_tasks, what="a tick on the dashboard")
    video = upload(short_clip)
    wait_for_attempt(video, state="RUNNING")
    wait_for(
        lambda: dashboard.finished_names() >= {"batchreel.submit", "batchreel.observe"}, what="ticks on the dashboard"
    )
    (wakeup,) = wait_for(dashboard.tracked_wakeups, what="the wake-up on the dashboard")
    assert (wakeup["routing_key"], wakeup["worker"].partition("@")[0]) == ("batchreel.submit", "path")

    refused = dashboard.get("/api/tasks")
    assert refused.status == http.HTTPStatus.UNAUTHORIZED
    assert "batchreel" not in refused.body
