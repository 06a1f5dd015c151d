"""Docker engine of this machine, and the project's image."""

from __future__ import annotations

import os
import subprocess

import pytest
from django.conf import settings

from tests.stack_plugin import DOCKER_IMAGE

BUILD_LIMIT_S = 900.0


def docker(*arguments: str, limit_s: float = 60.0) -> str:
    """Run the Docker client and return its output."""
    done = subprocess.run(
        ["docker", *arguments],  # noqa: S607 - wherever Docker is installed
        capture_output=True,
        text=True,
        check=True,
        timeout=limit_s,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout


def image_under_test() -> str:
    """Build the image and return its name. Skips the test if no engine answers.

    The environment variable BASE names the base image if debian:bookworm-slim cannot be pulled.
    """
    try:
        docker("version")
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no Docker engine answers")
    built = subprocess.run(
        [str(settings.BASE_DIR / "worker_image" / "build"), DOCKER_IMAGE, "--network", "host"],
        env={"DOCKER_BUILDKIT": "0", **os.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT_S,
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return DOCKER_IMAGE
