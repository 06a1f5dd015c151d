"""Finds the ffmpeg binary, names the engine, and runs one ffmpeg on a source."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import imageio_ffmpeg

from ..errors import EncodeError
from .limits import MAX_SOURCE_PX
from .process import run_child

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .limits import ChildLimits

ENGINE_VERSION = 5
"""Grows whenever the same plan would give other bytes than before, or a unit would hand over less than publishing needs."""

PROGRESS_PERIOD_S = 2.0
"""Longest time between two progress reports while ffmpeg runs."""


def ffmpeg_binary() -> str:
    """Return the path of ffmpeg: FFMPEG_BINARY, a path or a name on PATH, else the binary in the wheel imageio-ffmpeg."""
    chosen = os.environ.get("FFMPEG_BINARY")
    return os.path.realpath((shutil.which(chosen) or chosen) if chosen else imageio_ffmpeg.get_ffmpeg_exe())


def engine_id() -> str:
    """Return what fixes the bytes besides the plan: this engine's version and ffmpeg's, e.g. `5/n9.0.2`."""
    return f"{ENGINE_VERSION}/{_version_of(ffmpeg_binary())}"


@functools.cache
def _version_of(binary: str) -> str:
    with suppress(OSError):
        told = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False, timeout=60, env={})
        match told.stdout.split():
            case ["ffmpeg", "version", version, *_]:
                return version
    raise EncodeError(code="NO_FFMPEG", message=f"{binary} is not ffmpeg: look at FFMPEG_BINARY.")


_FIRST_CROPPING = (7, 1)
"""The version of ffmpeg that came to know -apply_cropping, and to crop as containers ask."""


def _without_cropping() -> tuple[str, ...]:
    """Return what keeps ffmpeg from cropping as the container asks: PyAV does not, and both must see the same size."""
    numbers = re.match(r"n?(\d+)\.(\d+)", _version_of(ffmpeg_binary()))
    knows = numbers is None or (int(numbers[1]), int(numbers[2])) >= _FIRST_CROPPING
    return ("-apply_cropping", "codec") if knows else ()


def input_arguments(path: Path, demuxer: str) -> list[str]:
    """Return the arguments that open a user's file: one named demuxer, the file protocol, nothing else.

    Without them a text file named lecture.mp4 makes ffmpeg open whatever files its playlist names. A unit may lie in a
    stretch of damage, where ffmpeg would give up at two packets of three: the picture before stands there instead.
    """
    return [
        *("-max_error_rate", "1"),
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer, "-f", demuxer),
        *_without_cropping(),
        *("-max_pixels", str(MAX_SOURCE_PX), "-i", f"file:{path.absolute()}"),
    ]


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    limits: ChildLimits,
    on_line: Callable[[str], None],
    on_wait: Callable[[int], None],
    stop: threading.Event,
) -> float:
    """Run ffmpeg to its end and return its CPU seconds; `on_line` gets each line of its standard output.

    `on_wait` is called every PROGRESS_PERIOD_S with the bytes that ffmpeg has read so far.

    Raises StoppedError, or EncodeError with ffmpeg's own words in the sentence.
    """
    lines = _Lines(on_line)
    waiting = _AtMostEvery(PROGRESS_PERIOD_S, on_wait)
    end = run_child(
        [ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments],
        limits=limits,
        on_output=lines.take,
        on_wait=waiting.call,
        stop=stop,
    )
    if end.returncode != 0:
        raise _failure(end.returncode, end.complaint)
    return end.cpu_s


def _failure(returncode: int, complaint: str) -> EncodeError:
    words = _cause(complaint)
    if "No space left on device" in complaint:
        return EncodeError(code="DISK_FULL", message=f"The disk to which the output is written is full ({words}).")
    if returncode < 0:
        return EncodeError(code="ENCODER_KILLED", message=f"ffmpeg was ended by signal {-returncode} ({words}).")
    return EncodeError(code="ENCODER_FAILED", message=f"ffmpeg ended with exit code {returncode} ({words}).")


_CAUSES = re.compile(r"error|impossible|invalid|unable|no space|cannot|failed", re.IGNORECASE)


def _cause(complaint: str) -> str:
    """Return the first line that names a cause: the last ones only say what came of it."""
    lines = complaint.splitlines() or ["it said nothing"]
    return next((line for line in lines if _CAUSES.search(line)), lines[-1])[:300]


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def take(self, block: bytes) -> None:
        *whole, self._rest = (self._rest + block).split(b"\n")
        for line in whole:
            self._on_line(line.decode("ascii", errors="replace"))


class _AtMostEvery:
    """Passes a call on unless the last one was less than a period ago."""

    def __init__(self, period_s: float, call: Callable[[int], None]) -> None:
        self._period_s, self._call, self._next = period_s, call, 0.0

    def call(self, value: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._period_s
            self._call(value)
