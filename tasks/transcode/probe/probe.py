"""Probe of a source in a child process.

A file that crashes the demuxer or decoder does not crash this process.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..arrival import ArrivalServer
from ..errors import EncodeError, InputRejectedError, InputSuspectError
from ..rejections import rejection
from ..sandbox.ffmpeg import check_packages, engine_id
from ..sandbox.limits import PROBE_OUTPUT_BYTES, probe_limits
from ..sandbox.process import CRASHES, ChildResult, run_child
from ..source import SourceInfo
from .sniff import HEAD_BYTES, sniff_demuxer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from ..byte_ranges import ByteRange

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
_PACKAGE = Path(__file__).resolve().parents[2]

CHILD_ENVIRONMENT = {"PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
"""Environment of a child that runs a module of this package."""


def child_paths(source: Path) -> dict[str, list[Path]]:
    """Return the paths that such a child needs, to read `source`."""
    return {"run": [_PACKAGE], "list": [_PACKAGE_ROOT], "read": [source]}


def probe_source(
    path: Path,
    *,
    stop: threading.Event | None = None,
    reading: Callable[[int], None] = lambda _: None,
    wait_for: Callable[[ByteRange], ByteRange] | None = None,
) -> SourceInfo:
    """Read the whole file once and return its description.

    All packets are read. Decoded are the first ones, excerpts of the audio, and a key frame for each new size.

    `reading` receives the number of bytes read so far. `wait_for` is for a file that has its size, but
    whose bytes still arrive: it gets a range that is about to be read, and returns one that has it, once
    all of that has arrived. It is called in another thread, and what it raises is raised here.

    Raises InputRejectedError if the file is not a video or is damaged beyond use, as its bytes show.
    Raises InputSuspectError if reading it crashed, hung, or used up its CPU time or memory: a machine
    with bad memory or a broken disk does that, too. Raises EncodeError if the disk or the probe itself
    failed, or the extra `worker` is not installed; StoppedError once `stop` is set.
    """
    check_packages()
    size_bytes = path.stat().st_size
    if wait_for is not None and size_bytes:
        wait_for((0, min(HEAD_BYTES, size_bytes)))
    demuxer = sniff_demuxer(path)
    output = bytearray()

    def collect(block: bytes) -> None:
        output.extend(block)
        if len(output) > PROBE_OUTPUT_BYTES:
            # The number of packets follows from the file's bytes, on any machine.
            raise InputRejectedError(**rejection("TOO_DEMANDING"))

    try:
        with ExitStack() as cleanup:
            arrivals = None if wait_for is None else cleanup.enter_context(ArrivalServer(wait_for))
            inherited = () if arrivals is None else map(str, arrivals.child_descriptors)
            end = run_child(
                [sys.executable, "-m", f"{__package__}.child", str(path.absolute()), demuxer, *inherited],
                limits=probe_limits(size_bytes),
                on_output=collect,
                on_wait=reading,
                stop=stop,
                environment=CHILD_ENVIRONMENT,
                paths=child_paths(path),
                arrivals=arrivals,
            )
    except EncodeError as error:
        raise InputSuspectError(**rejection("TOO_DEMANDING")) from error
    if end.returncode != 0:
        raise _failure(end)
    result = json.loads(output)
    if "unreadable" in result:
        raise EncodeError(
            code="SOURCE_UNREADABLE",
            message=f"This machine cannot read its copy of the source: {result['unreadable']}.",
        )
    if "rejected" in result:
        raise InputRejectedError(**result["rejected"])
    return SourceInfo.from_json(result["source"] | {"engine": engine_id()})


def _failure(end: ChildResult) -> Exception:
    if end.returncode in CRASHES:
        return InputSuspectError(**rejection("UNREADABLE"))
    if end.returncode == -signal.SIGXCPU or "MemoryError" in end.stderr or "Cannot allocate memory" in end.stderr:
        return InputSuspectError(**rejection("TOO_DEMANDING"))
    last_line = end.stderr.splitlines()[-1][:300] if end.stderr else "no error output"
    return EncodeError(code="PROBE_FAILED", message=f"The probe ended with exit code {end.returncode} ({last_line}).")
