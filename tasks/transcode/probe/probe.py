"""Probes a source in a child process: whatever a hostile file does to the demuxer or decoder, this process lives on."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EncodeError, InputRejectedError
from ..sandbox.ffmpeg import engine_id
from ..sandbox.limits import PROBE_OUTPUT_BYTES, probe_limits
from ..sandbox.process import ChildEnd, run_child
from ..source import SourceInfo
from .sniff import sniff_demuxer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]


def probe_source(
    path: Path, *, stop: threading.Event | None = None, reading: Callable[[int], None] = lambda _: None
) -> SourceInfo:
    """Read the whole file once (packets, and the first pictures decoded) and return what is in it.

    `reading` gets the bytes read so far. Raises InputRejectedError when it is no video or damaged beyond use; EncodeError when the
    probe itself could not be run; StoppedError once `stop` is set.
    """
    demuxer = sniff_demuxer(path)
    answer = bytearray()

    def collect(block: bytes) -> None:
        answer.extend(block)
        if len(answer) > PROBE_OUTPUT_BYTES:
            raise _too_demanding()

    try:
        end = run_child(
            [sys.executable, "-m", f"{__package__}.child", str(path.absolute()), demuxer],
            limits=probe_limits(path.stat().st_size),
            on_output=collect,
            on_wait=reading,
            stop=stop,
            environment={"PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    except EncodeError as late:
        raise _too_demanding() from late
    if end.returncode != 0:
        raise _failure(end)
    result = json.loads(answer)
    if "rejected" in result:
        raise InputRejectedError(**result["rejected"])
    return SourceInfo.from_json(result["source"] | {"engine": engine_id()})


def _too_demanding() -> InputRejectedError:
    return InputRejectedError(
        code="TOO_DEMANDING",
        message="Reading this file takes more time or memory than any ordinary video. It is probably damaged; "
        "please export it again as an MP4 file and upload that.",
    )


def _failure(end: ChildEnd) -> Exception:
    crash_signals = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
    if end.returncode in crash_signals:
        return InputRejectedError(
            code="UNREADABLE",
            message="The file is damaged in a way that breaks the program reading it. "
            "Please export the video again as an MP4 file and upload that.",
        )
    if end.returncode == -signal.SIGXCPU or "MemoryError" in end.complaint or "Cannot allocate memory" in end.complaint:
        return _too_demanding()
    last_words = end.complaint.splitlines()[-1][:300] if end.complaint else "it said nothing"
    return EncodeError(code="PROBE_FAILED", message=f"The probe ended with exit code {end.returncode} ({last_words}).")
