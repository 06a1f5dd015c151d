"""A web server of the site that can be killed in mid-request, with uploads by a signed-in user."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from honcho.environ import parse_procfile

from project.local.servers.lifeline import lifeline_command
from project.local.servers.ports import free_port
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CSRF_TOKEN = "a" * 32
_ANSWER_LIMIT_S = 30.0


class WebSite:
    """The site's web server as the Procfile runs it; `kill` ends its arbiter and its workers at once."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        program, *line = shlex.split(parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes["web"])
        command = [sys.executable, "-m", program, *line, *options]
        with (folder / "web.log").open("ab") as log:
            self._process = subprocess.Popen(
                # This lifeline kills all processes below it at once.
                lifeline_command(
                    [*command, "--bind", f"127.0.0.1:{self.port}"],
                    stop_signal=signal.SIGKILL,
                    grace_s=0,
                    orphan_grace_s=0,
                ),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )

    def wait_until_it_responses(self) -> None:
        """Wait until the server serves a page."""
        wait_for(self._responds, what="a response from the web server")

    def upload(self, clip: Path) -> requests.Response:
        """Upload as the page's script does. Raises ConnectionError if the server dies meanwhile."""
        with clip.open("rb") as content:
            return requests.post(
                f"{self.url}upload/",
                files={"source": content},
                headers={"Accept": "application/json", "X-CSRFToken": _CSRF_TOKEN},
                cookies={"sessionid": _session_of_staff(), "csrftoken": _CSRF_TOKEN},
                timeout=_ANSWER_LIMIT_S,
            )

    def kill(self) -> None:
        """Kill all its processes with SIGKILL; a no-op if they have ended."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def _responds(self) -> bool:
        try:
            return requests.get(f"{self.url}admin/login/", timeout=_ANSWER_LIMIT_S).status_code == HTTPStatus.OK
        except requests.ConnectionError:
            return False


def _session_of_staff() -> str:
    user, _ = User.objects.get_or_create(username="operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_video"))
    browser = Client()
    browser.force_login(user)
    return browser.cookies["sessionid"].value
