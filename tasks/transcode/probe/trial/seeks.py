"""Trial of a source in a child process: which bytes a demuxer reads to open the file, and to seek to each unit."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...sandbox.limits import PROBE_OUTPUT_BYTES, probe_limits
from ...sandbox.process import run_child
from ..probe import CHILD_ENVIRONMENT, child_paths

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ...byte_ranges import ByteRanges


@dataclass(frozen=True)
class SeekTrial:
    """What one seek read, up to the first packet of the video; and where that is."""

    position: int
    ranges: ByteRanges


@dataclass(frozen=True)
class Trial:
    """What a demuxer reads before the frames themselves."""

    opening: ByteRanges
    seeks: tuple[SeekTrial, ...]


def try_seeks(
    path: Path,
    demuxer: str,
    *,
    stream: int,
    seeks_s: Sequence[str],
    stop: threading.Event,
    reading: Callable[[int], None],
) -> Trial | None:
    """Open the file and seek to each of `seeks_s` (seconds, as ffmpeg gets them). None if that fails.

    `reading` receives the number of bytes read so far. Raises StoppedError or EncodeError.
    """
    output = bytearray()
    seeks_us = [round(float(seek_s) * 1_000_000) for seek_s in seeks_s]
    end = run_child(
        [
            *(sys.executable, "-m", f"{__package__}.child"),
            *(str(path.absolute()), demuxer, str(stream), json.dumps(seeks_us)),
        ],
        limits=probe_limits(path.stat().st_size),
        on_output=output.extend,
        on_wait=reading,
        stop=stop,
        environment=CHILD_ENVIRONMENT,
        paths=child_paths(path),
    )
    result = json.loads(output) if end.returncode == 0 and len(output) < PROBE_OUTPUT_BYTES else None
    if result is None or any(unit["position"] is None for unit in result["units"]):
        return None
    seeks = (SeekTrial(unit["position"], _ranges(unit["ranges"])) for unit in result["units"])
    return Trial(_ranges(result["opening"]), tuple(seeks))


def _ranges(form: list[list[int]]) -> ByteRanges:
    return tuple((first, end) for first, end in form)
