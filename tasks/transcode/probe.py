"""Probes a source in a child process: whatever a hostile file does to the demuxer or decoder, this process lives on."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.transcode.errors import EncodeFailed, InputRefused
from tasks.transcode.ffmpeg import engine_id
from tasks.transcode.limits import PROBE_OUTPUT_BYTES, probe_limits
from tasks.transcode.process import ChildEnd, run_child
from tasks.transcode.sniff import sniff_demuxer
from tasks.transcode.source import SourceInfo

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def probe_source(
    path: Path, *, stop: threading.Event | None = None, reading: Callable[[int], None] = lambda _: None
) -> SourceInfo:
    """Read the whole file once (packets, and the first pictures decoded) and return what is in it.

    `reading` gets the bytes read so far. Raises InputRefused when it is no video or damaged beyond use; EncodeFailed when the
    probe itself could not be run; Stopped once `stop` is set.
    """
    demuxer = sniff_demuxer(path)
    answer = bytearray()

    def collect(block: bytes) -> None:
        answer.extend(block)
        if len(answer) > PROBE_OUTPUT_BYTES:
            raise _too_demanding()

    try:
        end = run_child(
            [sys.executable, "-m", "tasks.transcode.probe_child", str(path.absolute()), demuxer],
            limits=probe_limits(path.stat().st_size),
            on_output=collect,
            on_wait=reading,
            stop=stop,
            environment={"PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    except EncodeFailed as late:
        raise _too_demanding() from late
    if end.returncode != 0:
        raise _failure(end)
    told = json.loads(answer)
    if "refused" in told:
        raise InputRefused(**told["refused"])
    return SourceInfo.from_json(told["source"] | {"engine": engine_id()})


def _too_demanding() -> InputRefused:
    return InputRefused(
        code="TOO_DEMANDING",
        sentence="Reading this file takes more time or memory than any ordinary video. It is probably damaged; "
        "please export it again as an MP4 file and upload that.",
    )


def _failure(end: ChildEnd) -> Exception:
    crash_signals = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
    if end.returncode in crash_signals:
        return InputRefused(
            code="UNREADABLE",
            sentence="The file is damaged in a way that breaks the program reading it. "
            "Please export the video again as an MP4 file and upload that.",
        )
    if end.returncode == -signal.SIGXCPU or "MemoryError" in end.complaint or "Cannot allocate memory" in end.complaint:
        return _too_demanding()
    last_words = end.complaint.splitlines()[-1][:300] if end.complaint else "it said nothing"
    return EncodeFailed(
        code="PROBE_FAILED", sentence=f"The probe ended with exit code {end.returncode} ({last_words})."
    )
