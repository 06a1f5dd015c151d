"""The trial itself: what libav reads of a file to open it, and to seek to each unit.

Run under limits as `python -m tasks.transcode.probe.trial.child PATH DEMUXER STREAM SEEKS`; writes
JSON to stdout. SEEKS are microseconds, as a JSON list.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import av
import av.error

from ...byte_ranges import merged
from ..positions import GAP_BYTES
from ..source_file import SourceFile

if TYPE_CHECKING:
    from ...byte_ranges import ByteRanges

_REOPENED = frozenset({"mpegts"})
"""Demuxers without an index, which search for a time. What they have read before changes where, so
each unit needs a fresh one, as it gets in ffmpeg.
"""

_B_FRAME_US = 3 * 1_000_000 // 23
"""ffmpeg seeks this much earlier in formats whose seeks go by dts, if frames are reordered (ifile_open
in ffmpeg_demux.c).
"""


class _RecordedFile(SourceFile):
    """A source that records which bytes were read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._read: list[tuple[int, int]] = []

    def read(self, size: int) -> bytes:
        first = self.tell()
        block = super().read(size)
        self._read.append((first, first + len(block)))
        return block

    def take_ranges(self) -> ByteRanges:
        """Return what was read since the last call."""
        ranges, self._read = merged(self._read, gap_bytes=GAP_BYTES), []
        return ranges


def trial(path: str, demuxer: str, stream: int, seeks_us: list[int]) -> dict[str, Any]:
    """Return the ranges read to open the file, and for each seek: those read, and the first packet's position."""
    units: list[dict[str, Any]] = []
    with _RecordedFile(path) as file:
        container = _open(file, demuxer)
        if demuxer not in _REOPENED and seeks_us:
            # The first seek also reads what of the index was not needed until then, as in each ffmpeg.
            _first_position(container, stream, seeks_us[0])
        opening = file.take_ranges()
        for seek_us in seeks_us:
            if demuxer in _REOPENED:
                container.close()
                file.seek(0)
                container = _open(file, demuxer)
            else:
                # Away from there, so that nothing of what this seek needs is still in a buffer.
                _first_position(container, stream, 0)
            file.take_ranges()
            position = _first_position(container, stream, seek_us)
            units.append({"position": position, "ranges": file.take_ranges()})
        container.close()
    return {"opening": opening, "units": units}


def _open(file: _RecordedFile, demuxer: str) -> Any:
    options = {"protocol_whitelist": "file", "format_whitelist": demuxer}
    if demuxer == "mpegts":
        options["scan_all_pmts"] = "1"  # as ffmpeg does
    return av.open(file, format=demuxer, options=options, metadata_errors="replace")


def _first_position(container: Any, number: int, seek_us: int) -> int | None:
    """Seek as ffmpeg does, and return the position of the stream's first packet."""
    by_pts = bool(container.format.flags & av.format.Flags.seek_to_pts.value)
    is_reordered = any(stream.codec_context and stream.codec_context.has_b_frames for stream in container.streams.video)
    for stream in container.streams:
        stream.discard = av.stream.Discard.default
    container.seek(seek_us if by_pts or not is_reordered else seek_us - _B_FRAME_US)
    wanted = container.streams[number]
    for stream in container.streams:
        if stream is not wanted:
            stream.discard = av.stream.Discard.all
    for packet in container.demux(wanted):
        if packet.size:
            return int(packet.pos) if packet.pos is not None else None
    return None


def main() -> None:
    """Write the result of `trial` to standard output, or null if it failed."""
    av.logging.set_level(av.logging.PANIC)
    try:
        result = trial(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
    except (av.error.FFmpegError, ValueError):
        result = None
    json.dump(result, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
