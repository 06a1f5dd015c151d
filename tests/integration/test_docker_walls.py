"""In a real container, started as AWS Batch starts it, a decoder gets nothing of its container."""

from __future__ import annotations

import json
import os
import subprocess
import uuid

import pytest

from project.local.batch.docker_container import docker_run
from tasks.transcode.sandbox.walls import METADATA
from tests.docker_engine import image_under_test
from tests.media.test_walls import CONTAINER, SECRET

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


def test_child_gets_nothing_of_its_container_when_docker_runs_it() -> None:
    environment = {"DATABASE_URL": SECRET}
    command = docker_run(
        *(image_under_test(), "python", "-c", CONTAINER, *map(str, METADATA)),
        name=f"walls-{uuid.uuid4().hex[:8]}",
        environment=environment,
    )
    ran = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=100
    )
    found = json.loads(ran.stdout)
    assert {key: bool(value) for key, value in found.items()} == {
        "environment_bytes": False,
        "sockets": False,
        "metadata": False,
        "foreign_bytes": False,
        "foreign_writes": False,
        "breaches": False,
    }
