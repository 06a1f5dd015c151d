"""Media checks on this machine: ffmpeg, the engine for automatic captions, and hls.js for the player page."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.staticfiles import finders

from ...conf import bridge_settings
from ...transcode import ProfileError, TranscodeError, site_profiles
from ...transcode.sandbox.ffmpeg import ffmpeg_binary
from ...transcode.speech.faults import SpeechError
from ...transcode.speech.port import engine_problem
from ...transcode.speech.run import try_engine
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_TIMEOUT_S = 10
SPEECH = "speech"
PLAYER = "batchreel/vendor/hls.js"


def check_ffmpeg() -> Iterator[Finding]:
    """Yield one finding: ffmpeg runs and has the encoder that the ladder needs."""
    fix = "Install the extra `worker`, or the locked requirements, or set FFMPEG_BINARY to a build with libx264."
    try:
        binary = ffmpeg_binary()
        ran = subprocess.run(
            [binary, "-hide_banner", "-encoders"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
            env={},
        )
    except (OSError, RuntimeError, TranscodeError, subprocess.SubprocessError) as error:
        yield failed("ffmpeg", f"ffmpeg does not run: {error}", fix=fix)
        return
    if "libx264" in ran.stdout:
        yield ok("ffmpeg", f"{binary} runs and has libx264.")
    else:
        yield failed("ffmpeg", f"{binary} has no libx264.", fix=fix)


def check_ffmpeg_if_installed() -> Iterator[Finding]:
    """Yield the same finding; OK without the extra `worker`, which only the containers need."""
    if find_spec("imageio_ffmpeg") is None and "FFMPEG_BINARY" not in os.environ:
        yield ok("ffmpeg", "Not installed on this machine: only containers need it.")
    else:
        yield from check_ffmpeg()


def asking_profiles() -> list[str]:
    """Return the names of the profiles that ask for automatic captions; none if the profiles have faults."""
    try:
        profiles = site_profiles(bridge_settings().profiles)
    except ProfileError:
        return []
    return sorted(name for name, profile in profiles.items() if profile.automatic_captions)


def check_speech() -> Iterator[Finding]:
    """Yield a finding if a profile asks for automatic captions, or weights are set: the engine gets a tone."""
    conf = bridge_settings()
    asking = asking_profiles()
    if not asking and not conf.speech.weights:
        return
    names = ", ".join(asking)
    if problem := engine_problem(conf.speech):
        why = f"{problem.text} So no video gets automatic captions ({problem.code})."
        yield failed(SPEECH, why, fix=problem.fix)
        return
    try:
        try_engine(conf.speech, threads=conf.threads_per_unit)
    except SpeechError as error:
        fix = "Are the weights a ggml file for whisper.cpp, and complete? Then see docs/how-to/automatic-captions.md."
        yield failed(SPEECH, f"{error.message} ({error.code})", fix=fix)
        return
    if asking:
        yield ok(SPEECH, f"The engine runs, for {names}.")
    else:
        fix = "Set automatic_captions in a profile: docs/how-to/automatic-captions.md."
        yield warning(SPEECH, "The engine runs, but no profile asks for automatic captions.", fix=fix)


def check_player() -> Iterator[Finding]:
    """Yield one finding. Without hls.js, only browsers with native HLS support can play videos."""
    collected = settings.STATIC_ROOT and (Path(settings.STATIC_ROOT) / PLAYER).is_file()
    if collected or finders.find(PLAYER):
        yield ok("player", "hls.js is installed.")
    else:
        yield warning(
            "player",
            "hls.js is not installed.",
            fix="Run `manage.py collectstatic`; in a checkout, `python -m project.local.frontend` first.",
        )
