"""Which bytes of the source each unit reads, for containers that fetch no more than that.

Formats in which ffmpeg reads the units from one place each, measured by
scripts/bench/measures/containers/fetched_bytes.py: MP4 and MOV with one sample index (first or last in the file),
Matroska with cues, MPEG transport streams. All others are fetched whole (`Whole`).

A unit reads the index, then what its seek reads (`probe.trial`), then all bytes from the key frame
before its first frame to some frames after its last one, because ffmpeg's threads read ahead. The
ranges need not be right: a container notices a read of any other byte (`sandbox.read_guard`), and
then takes the whole file.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..byte_ranges import merged, total_bytes
from ..errors import EncodeError
from ..probe.trial.seeks import try_seeks

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..byte_ranges import ByteRanges
    from ..probe.trial.seeks import Trial
    from ..source import SourceInfo
    from .plan import AudioUnit, Plan, VideoUnit

_MIB = 1024 * 1024

_SEQUENTIAL = frozenset({"matroska", "mpegts"})
"""Demuxers that read every byte from the first packet to the last one, whatever stream it is of."""

_READ_AHEAD_FRAMES = 48
"""Frames after a unit's last one that ffmpeg may have read when it has written that one: those in the
decoder, in the filter graph, and in the queues between its threads."""

_AUDIO_READ_AHEAD_S = 3
"""Seconds of audio after a unit's last frame that ffmpeg may have read when it has written that one: more
than 20 packets of the longest kind, in the queues between its threads, and what resampling needs."""

_AUDIO_RANGES = 2000
"""Most ranges of an audio unit. If there are more, the closest are fetched as one."""

_BUFFER_BYTES = 64 * 1024
"""After each range: a demuxer fills a buffer of 32 KiB at a time."""

_MARGIN_BYTES = 192 * 1024
"""After what was read by the probe or in the trial, whose libav may be another version than ffmpeg's."""

_JOINED_BYTES = 512 * 1024
"""Ranges closer together than this are fetched as one."""

WHOLE_BELOW_BYTES = 64 * _MIB
"""Smaller files are fetched whole: it takes about as long as finding out what to leave out."""

MOST_READ = 1.5
"""Times the file's size that all units together may read. Beyond it, most containers would fetch
most of the file, and each byte more than once."""


class Whole(enum.StrEnum):
    """Why containers fetch the whole source."""

    SMALL = "SMALL"
    FORMAT = "FORMAT"
    """A demuxer that reads in other places, or a fragmented MP4, whose index is everywhere."""
    POSITIONS = "POSITIONS"
    """It is not known where the packets are, the clock starts over, or streams change their kind."""
    TRIAL = "TRIAL"
    """Opening the file and seeking in it failed."""
    TOO_MUCH = "TOO_MUCH"
    """Units read too much: the file has no usable index, or its streams are not interleaved."""


@dataclass(frozen=True)
class SourceReads:
    """Bytes of the source that the units read."""

    size_bytes: int
    whole: str = ""
    """A member of Whole if all of it is needed, or empty."""
    opening: ByteRanges = ()
    """Read by every unit: the header, the index, and some of the first frames."""
    units: tuple[ByteRanges, ...] = ()
    """By index of the video unit."""
    audio: tuple[ByteRanges, ...] = ()
    """By index of the audio unit; empty ranges for one that needs the whole file."""

    def of_video(self, index: int) -> ByteRanges | None:
        """Return what a video unit reads, or None for the whole file."""
        return None if self.whole else merged((*self.opening, *self.units[index]), gap_bytes=_JOINED_BYTES)

    def of_audio(self, index: int) -> ByteRanges | None:
        """Return what an audio unit reads, or None for the whole file."""
        return None if self.whole or not self.audio[index] else merged((*self.opening, *self.audio[index]))

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> SourceReads:
        """Rebuild an equal object from the result of asdict, before or after JSON."""
        return cls(
            **form
            | {
                "opening": _ranges(form["opening"]),
                "units": tuple(_ranges(unit) for unit in form["units"]),
                "audio": tuple(_ranges(unit) for unit in form["audio"]),
            }
        )


def _ranges(form: list[list[int]]) -> ByteRanges:
    return tuple((first, end) for first, end in form)


def with_reads(
    plan: Plan,
    source: SourceInfo,
    path: Path,
    *,
    stop: threading.Event,
    reading: Callable[[int], None] = lambda _: None,
    whole_below_bytes: int = WHOLE_BELOW_BYTES,
    most_read: float = MOST_READ,
) -> Plan:
    """Return the plan with the bytes that each unit reads. Opens the file in a child process.

    `reading` receives the number of bytes read so far. Raises StoppedError.
    """
    reads = SourceReads(source.size_bytes, whole=_why_whole(plan, source, whole_below_bytes))
    if not reads.whole:
        reads = _reads(plan, source, _trial(plan, path, stop, reading))
    read_bytes = sum(total_bytes(reads.of_video(index) or ()) for index in range(len(reads.units)))
    if read_bytes > most_read * reads.size_bytes:
        reads = SourceReads(source.size_bytes, whole=Whole.TOO_MUCH)
    return replace(plan, reads=reads)


def _why_whole(plan: Plan, source: SourceInfo, whole_below_bytes: int) -> str:
    if source.demuxer not in _SEQUENTIAL and not source.indexed:
        return Whole.FORMAT
    if source.size_bytes < whole_below_bytes:
        return Whole.SMALL
    is_placed = (
        plan.video_units and source.stretches and not (source.splicing or source.merges_streams or source.decoders)
    )
    return "" if is_placed else Whole.POSITIONS


def _trial(plan: Plan, path: Path, stop: threading.Event, reading: Callable[[int], None]) -> Trial | None:
    seeks_s = [seek_s for unit in plan.video_units if (seek_s := unit.seeks_s[0]) is not None]
    try:
        return try_seeks(path, plan.demuxer, stream=plan.stream, seeks_s=seeks_s, stop=stop, reading=reading)
    except EncodeError:
        # It only saves transfers; if the machine is at fault, encoding fails in the same way.
        return None


def _reads(plan: Plan, source: SourceInfo, trial: Trial | None) -> SourceReads:
    if trial is None:
        return SourceReads(source.size_bytes, whole=Whole.TRIAL)
    stretches = _Stretches(plan, source)
    seeks = iter(trial.seeks)
    units = []
    for unit in plan.video_units:
        seek = None if unit.seeks_s[0] is None else next(seeks)
        first = 0 if seek is None else stretches.index_of(seek.position)
        if first is None:
            return SourceReads(source.size_bytes, whole=Whole.POSITIONS)
        found = (*stretches.ranges(first, unit), *(() if seek is None else seek.ranges))
        units.append(merged(_padded(found, source.size_bytes), gap_bytes=_JOINED_BYTES))
    opening = merged(_padded(trial.opening, source.size_bytes), gap_bytes=_JOINED_BYTES)
    return SourceReads(
        source.size_bytes,
        opening=opening,
        units=tuple(units),
        audio=tuple(_audio(plan, source, unit) for unit in plan.audio_units),
    )


class _Stretches:
    """The source's stretches, by position and by time."""

    def __init__(self, plan: Plan, source: SourceInfo) -> None:
        self._plan, self._source = plan, source
        self._stretches = source.stretches
        self._times = [stretch.dts for stretch in source.stretches]
        self._places = sorted(
            (first, end, index) for index, stretch in enumerate(source.stretches) for first, end in stretch.ranges
        )

    def index_of(self, position: int) -> int | None:
        """Return the stretch that has the packet at this position."""
        at = bisect_right(self._places, (position, self._source.size_bytes, len(self._stretches))) - 1
        return self._places[at][2] if at >= 0 and position < self._places[at][1] else None

    def ranges(self, first: int, unit: VideoUnit) -> Sequence[tuple[int, int]]:
        """Return what is read from the stretch `first` to the last frame that ffmpeg takes for the unit."""
        plan, times = self._plan, self._source.frame_pts
        frame = min(plan.frames, unit.end_frame + plan.look_ahead_frames)
        last = bisect_left(times, plan.first_pts + frame / plan.rate / plan.time_base) + _READ_AHEAD_FRAMES
        reaches_end = last >= len(times)
        end = len(self._stretches) if reaches_end else bisect_right(self._times, times[last])
        ranges = [each for stretch in self._stretches[first:end] for each in stretch.ranges]
        if not ranges or plan.demuxer not in _SEQUENTIAL:
            return ranges
        end_bytes = self._source.size_bytes if reaches_end else max(end for _, end in ranges)
        return [(min(first for first, _ in ranges), end_bytes)]


def _audio(plan: Plan, source: SourceInfo, unit: AudioUnit) -> ByteRanges:
    """Return what is read from the beginning of the track to the unit's end; empty if that is most of the file."""
    if plan.audio is None:
        return ()
    is_sequential = source.demuxer in _SEQUENTIAL
    # Most packets of audio in a transport stream have no position. The video of the same time is near by.
    stretches = source.stretches if is_sequential else source.audio[unit.track].stretches
    count = len(stretches)
    if unit.end_frame < plan.frames:
        end_s = plan.audio.start_s + unit.end_frame / plan.rate + _AUDIO_READ_AHEAD_S
        count = bisect_right([each.dts for each in stretches], end_s / source.time_base)
    found = [each for stretch in stretches[:count] for each in stretch.ranges]
    if not found or (is_sequential and count == len(stretches)):
        return ()
    if is_sequential:
        found = [(0, max(end for _, end in found))]
    gap_bytes = 0
    while len(ranges := merged(_padded(found, source.size_bytes, _BUFFER_BYTES), gap_bytes=gap_bytes)) > _AUDIO_RANGES:
        gap_bytes = max(_BUFFER_BYTES, 2 * gap_bytes)
    return ranges if total_bytes(ranges) < source.size_bytes / 2 else ()


def _padded(
    ranges: Sequence[tuple[int, int]], size_bytes: int, margin_bytes: int = _MARGIN_BYTES
) -> list[tuple[int, int]]:
    return [(first, min(end + margin_bytes, size_bytes)) for first, end in ranges]
