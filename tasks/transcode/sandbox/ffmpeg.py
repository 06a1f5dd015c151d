"""The ffmpeg binary, the engine's id, and runs of ffmpeg on a source."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import EncodeError, EncoderCrashedError, StoppedError, extra_missing
from .limits import MAX_SOURCE_PX, ChildLimits
from .process import CRASHES, ChildResult, run_child
from .read_guard import PartialFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..byte_ranges import ByteRanges

ENGINE_VERSION = 11
"""Increases when the same plan would produce different bytes, or when earlier units lack something
that publishing needs.
"""

_BLOCK_BYTES = 4 * 1024 * 1024

_VERSION_LIMITS = ChildLimits(memory_bytes=3072 * 1024 * 1024, cpu_s=60, file_bytes=0)

PROGRESS_PERIOD_S = 2.0
"""Minimum time between two progress reports while ffmpeg runs."""


def ffmpeg_binary() -> str:
    """Return the path of ffmpeg.

    FFMPEG_BINARY (a path, or a name on PATH) takes precedence over the imageio-ffmpeg wheel's
    binary. Raises EncodeError EXTRA_MISSING without that wheel.
    """
    configured = os.environ.get("FFMPEG_BINARY")
    return os.path.realpath((shutil.which(configured) or configured) if configured else _wheels_binary())


def _wheels_binary() -> str:
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - a site that does not encode has no ffmpeg
    except ImportError as error:
        raise extra_missing(package="imageio-ffmpeg") from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def check_packages() -> None:
    """Raise EncodeError EXTRA_MISSING if a package is not installed that only the engine needs."""
    if find_spec("av") is None:
        raise extra_missing(package="av")
    ffmpeg_binary()


def engine_id() -> str:
    """Return the versions of this engine and of ffmpeg, e.g. `5/n9.0.2`.

    Together with the plan, they determine the output bytes.
    """
    return f"{ENGINE_VERSION}/{_version_of(ffmpeg_binary())}"


@functools.cache
def _version_of(binary: str) -> str:
    printed = bytearray()
    # Like all children, without a deadline: on a stalled disk, it takes as long as it takes.
    with suppress(OSError):
        end = run_child([binary, "-version"], limits=_VERSION_LIMITS, on_output=printed.extend)
        if end.returncode in CRASHES:
            raise _failure(end.returncode, end.stderr)
    match printed.decode(errors="replace").split():
        case ["ffmpeg", "version", version, *_]:
            return version
    raise EncodeError(code="NO_FFMPEG", message=f"{binary} is not ffmpeg: check FFMPEG_BINARY.")


_FIRST_CROPPING = (7, 1)
"""First version of ffmpeg that applies the cropping declared by containers, and that has
-apply_cropping.
"""


def _without_cropping() -> tuple[str, ...]:
    """Return the option that disables container cropping, if ffmpeg has it.

    PyAV does not apply container cropping, and both must see the same frame size.
    """
    numbers = re.match(r"n?(\d+)\.(\d+)", _version_of(ffmpeg_binary()))
    has_option = numbers is None or (int(numbers[1]), int(numbers[2])) >= _FIRST_CROPPING
    return ("-apply_cropping", "codec") if has_option else ()


def input_arguments(path: Path, demuxer: str) -> list[str]:
    """Return the arguments that open a user's file, with one demuxer and the file protocol only.

    Without them, a playlist named lecture.mp4 makes ffmpeg open the files that it lists. A unit may
    fall into a damaged section, where ffmpeg by default ends with an error if more than two thirds
    of the packets cannot be decoded. -max_error_rate 1 prevents that, and the previous frame is
    repeated there instead.
    """
    return [
        *("-max_error_rate", "1"),
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer, "-f", demuxer),
        *_without_cropping(),
        *("-max_pixels", str(MAX_SOURCE_PX), "-i", f"file:{path.absolute()}"),
    ]


def output_argument(path: Path) -> str:
    """Return the argument that names an output. It is absolute, because what precedes a colon would be a protocol."""
    return str(path.absolute())


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    limits: ChildLimits,
    on_line: Callable[[str], None],
    on_wait: Callable[[int], None],
    stop: threading.Event,
    on_restart: Callable[[], None] = lambda: None,
    reads: Sequence[Path] = (),
    present: ByteRanges | None = None,
    writes_below: Path | None = None,
) -> float:
    """Run ffmpeg until it ends and return its CPU seconds.

    It may read the files `reads`, and make files in the folder `writes_below`. `present` are the
    byte ranges that the first of these files has, or None for all of it. `on_line` receives
    each line of its standard output. `on_wait` is called about every PROGRESS_PERIOD_S with the
    number of bytes that ffmpeg has read so far. If it reports a read error, which the disk or the
    file may have, the files are read to their end; if that succeeds, `on_restart` is called and ffmpeg
    run once more.

    Raises StoppedError, or EncodeError with a line of ffmpeg's error output in the message:
    EncoderCrashedError if a signal ended it that a fault of its own or of the machine raises, and
    HOLE_READ if it needs a byte that is not present.
    """
    throttle = _Throttle(PROGRESS_PERIOD_S, on_wait)

    def run() -> ChildResult:
        return run_child(
            [ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments],
            limits=limits,
            on_output=_Lines(on_line).take,
            on_wait=throttle.call,
            stop=stop,
            paths={"read": reads, "write": [] if writes_below is None else [writes_below]},
            partial_file=None if present is None else PartialFile(reads[0], present),
        )

    end = run()
    cpu_s = end.cpu_s
    if _READ_ERROR in end.stderr and (files := _read_again(reads, throttle.call, stop)):
        on_restart()
        end = run()
        cpu_s += end.cpu_s
        if _READ_ERROR in end.stderr:
            _damaged.update(files)
    if end.returncode != 0:
        raise _failure(end.returncode, end.stderr)
    return cpu_s


_READ_ERROR = "Input/output error"
"""What libav reports for damaged files as well as for a disk that cannot be read. ffmpeg takes the latter for
the end of the file, ends with 0, and filters fill what is missing with silence and the last frame
(findings/ffmpeg-read-error-becomes-silence.sh)."""


_damaged: set[tuple[int, int, int]] = set()
"""Files (device, inode, time of the last change) that have an error although they can be read to their end.
Each of their units may report it again."""


def _read_again(
    paths: Sequence[Path], reading: Callable[[int], None], stop: threading.Event
) -> set[tuple[int, int, int]]:
    """Read the files to their end, except damaged ones, and return those that were read.

    Raises EncodeError DISK_FAILED if that fails, or StoppedError.
    """
    files = set()
    for path in paths:
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino, status.st_mtime_ns)
                if identity in _damaged:
                    continue
                while file.read(_BLOCK_BYTES):
                    reading(file.tell())
                    if stop.is_set():
                        raise StoppedError
        except OSError as error:
            message = f"The disk with the source cannot be read ({error})."
            raise EncodeError(code="DISK_FAILED", message=message) from error
        files.add(identity)
    return files


_BROKEN_DISK = ("Read-only file system", "Structure needs cleaning")
"""What the kernel returns once a file system has failed. Not "Input/output error", which libav also
reports for damaged files."""


def _failure(returncode: int, stderr: str) -> EncodeError:
    cause = _cause(stderr)
    if "No space left on device" in stderr:
        return EncodeError(code="DISK_FULL", message=f"The disk to which the output is written is full ({cause}).")
    if any(text in stderr for text in _BROKEN_DISK):
        return EncodeError(code="DISK_FAILED", message=f"The disk to which the output is written failed ({cause}).")
    if returncode == -signal.SIGXCPU:
        return EncodeError(code="CPU_TIME_EXCEEDED", message=f"ffmpeg used up its CPU time ({cause}).")
    if returncode in CRASHES:
        return EncoderCrashedError(
            code="ENCODER_CRASHED", message=f"ffmpeg crashed with signal {-returncode} ({cause})."
        )
    if returncode < 0:
        return EncodeError(code="ENCODER_KILLED", message=f"ffmpeg was killed by signal {-returncode} ({cause}).")
    return EncodeError(code="ENCODER_FAILED", message=f"ffmpeg failed with exit code {returncode} ({cause}).")


_CAUSES = re.compile(r"error|impossible|invalid|unable|no space|cannot|failed", re.IGNORECASE)


def _cause(stderr: str) -> str:
    """Return the first line that states a cause, else the last line.

    The last lines often state only the consequences.
    """
    lines = stderr.splitlines() or ["no error output"]
    return next((line for line in lines if _CAUSES.search(line)), lines[-1])[:300]


class _Lines:
    """Splitter of a stream of bytes into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._remainder = b""

    def take(self, block: bytes) -> None:
        *whole, self._remainder = (self._remainder + block).split(b"\n")
        for line in whole:
            self._on_line(line.decode("ascii", errors="replace"))


class _Throttle:
    """Throttle that drops calls less than a period after the last one passed on."""

    def __init__(self, period_s: float, call: Callable[[int], None]) -> None:
        self._period_s, self._call, self._next = period_s, call, 0.0

    def call(self, value: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._period_s
            self._call(value)
