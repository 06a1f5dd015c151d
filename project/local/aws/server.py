"""The local AWS endpoint as a process of the stack."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from project.local.servers.ports import LOOPBACK
from project.local.servers.server import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_ROOT = Path(__file__).resolve().parents[3]

_START_LIMIT_S = 60
_RESPONSE_LIMIT_S = 5


def start_aws(
    state_dir: Path, *, port: int, environment: Mapping[str, str], lock_descriptor: int, site: Path | None = None
) -> Service:
    """Start the endpoint on `port`.

    Its `environment` is also the base environment of the containers that it runs. They run in the
    folder `site` with the Python on PATH, or in this project with its own.
    """
    of_site = [] if site is None else ["--site", str(site)]
    return Service(
        name="The local AWS endpoint",
        # -E and -s: variables such as PYTHONPATH are for the containers.
        command=[sys.executable, "-E", "-s", "-m", "project.local.aws.endpoint", "--port", str(port), *of_site],
        environment=environment,
        folder=PROJECT_ROOT,
        log_path=state_dir / "aws.log",
        lock_descriptor=lock_descriptor,
    )


def wait_for_aws(service: Service, port: int) -> None:
    """Return once the endpoint responds. Raises StackError at the deadline."""
    service.wait_until(lambda: _request(port), deadline_s=_START_LIMIT_S)


def _request(port: int) -> None:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/moto-api/data.json", timeout=_RESPONSE_LIMIT_S) as response:
        response.read()
