"""The container program hides its environment, and logs which walls hold, before it does anything else."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from typing import Any

import pytest
from django.conf import settings

from tests.media.as_in_batch import COMMAND, has_own_processes, is_possible

_AS_IN_BATCH = pytest.mark.skipif(
    not is_possible(), reason="the image's user cannot reach a project below root's own folder in a chroot"
)


def _first_line(*without: str) -> dict[str, Any]:
    """Run the container program as AWS Batch does, with a database that does not answer; return its first log line."""
    with subprocess.Popen(
        [*COMMAND, *without, "--", sys.executable, "-m", "tasks.container", str(uuid.uuid4()), "1"],
        cwd=settings.BASE_DIR,
        env={
            "DATABASE_URL": "postgres://role:canary@127.0.0.1:1/none",
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "MEDIA_ROOT": "/",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stderr=subprocess.PIPE,
        text=True,
    ) as container:
        try:
            assert container.stderr is not None
            line = dict(json.loads(container.stderr.readline()))
        finally:
            container.kill()
    assert line["event"] == "SANDBOX", line
    return line


@_AS_IN_BATCH
def test_container_logs_that_all_walls_hold_when_batch_starts_it() -> None:
    line = _first_line()
    assert (line["level"], line["breaches"]) == ("INFO", [])
    assert line["landlock_abi"] > 0


@pytest.mark.skipif(not has_own_processes(), reason="only root can leave the processes of this machine")
def test_container_hides_its_environment_when_the_kernel_has_no_landlock() -> None:
    line = _first_line("landlock")
    assert (line["level"], line["breaches"], line["environment_bytes"]) == ("WARNING", ["files"], 0)
