"""Looks at what media work needs on this machine: ffmpeg, and the player's script for the page."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.staticfiles import finders

from tasks.doctor.finding import unwell, warning, well
from tasks.transcode.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.doctor.finding import Finding

_TIMEOUT_S = 10
PLAYER = "hls.js/hls.min.js"


def look_at_ffmpeg() -> Iterator[Finding]:
    """One finding: it runs, and has the encoder that the ladder needs."""
    mend = "Install the locked requirements, or set FFMPEG_BINARY to a build with libx264."
    try:
        binary = ffmpeg_binary()
        told = subprocess.run(
            [binary, "-hide_banner", "-encoders"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
            env={},
        )
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        yield unwell("ffmpeg", f"It does not run: {error}", mend=mend)
        return
    if "libx264" in told.stdout:
        yield well("ffmpeg", f"{binary} runs and has libx264.")
    else:
        yield unwell("ffmpeg", f"{binary} has no libx264.", mend=mend)


def look_at_player() -> Iterator[Finding]:
    """One finding; without the script only browsers that play HLS by themselves can play."""
    collected = settings.STATIC_ROOT and (Path(settings.STATIC_ROOT) / PLAYER).is_file()
    if collected or finders.find(PLAYER):
        yield well("player", "hls.js is there.")
    else:
        yield warning(
            "player", "hls.js is not installed.", mend="Run `scripts/dev`, or npm ci and `manage.py collectstatic`."
        )
