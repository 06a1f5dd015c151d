"""The dashboard: without credentials it serves neither pages nor API responses, with them it does."""

from __future__ import annotations

import base64
import http.client
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

from project.local.servers.ports import free_port
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = "operator:a password: with a colon"


def status(port: int, path: str, *, credentials: str | None = None) -> int:
    """Return the HTTP status of a GET, or 0 while the port refuses connections."""
    headers = {}
    if credentials is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


@pytest.fixture(scope="module")
def dashboard(program_environment: dict[str, str]) -> Iterator[int]:
    """Yield the port of a running dashboard."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "project.flower", f"--port={port}", "--address=127.0.0.1"],
        cwd=settings.BASE_DIR,
        env={**program_environment, "FLOWER_BASIC_AUTH": CREDENTIALS},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: status(port, "/healthcheck") == http.HTTPStatus.OK, what="the dashboard's health check")
        yield port
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/api/task/types"]
)
@pytest.mark.parametrize("credentials", [None, "", ":", "operator:", "operator:wrong"])
def test_dashboard_shows_nothing_when_credentials_are_missing_or_wrong(
    dashboard: int, path: str, credentials: str | None
) -> None:
    assert status(dashboard, path, credentials=credentials) == http.HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("path", ["/workers", "/tasks", "/api/workers", "/api/tasks"])
def test_dashboard_responds_when_credentials_are_right(dashboard: int, path: str) -> None:
    assert status(dashboard, path, credentials=CREDENTIALS) == http.HTTPStatus.OK


def test_dashboard_does_not_start_when_there_are_no_credentials(program_environment: dict[str, str]) -> None:
    environment = {name: value for name, value in program_environment.items() if not name.startswith("FLOWER_")}
    ran = subprocess.run(
        [sys.executable, "-m", "project.flower"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ran.returncode == 2
    assert "FLOWER_BASIC_AUTH=name:password" in ran.stderr
