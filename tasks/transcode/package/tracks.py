"""The files of a rung or an audio track in the order of playing, with their times and bit rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..outputs import MediaFile

_SHORTEST_PEAK = Fraction(1, 2)
_LONGEST_PEAK = Fraction(3, 2)
"""Shortest and longest run of segments that counts for the peak bit rate, in target durations: RFC 8216, 4.3.4.2."""


@dataclass(frozen=True)
class PlacedFile:
    """A media file and its URL in playlists."""

    url: str
    file: MediaFile


@dataclass(frozen=True)
class Planned:
    """What a track will be that is not complete yet, so that its playlists declare what those of the whole will."""

    times: tuple[tuple[int, int], ...]
    """(start, duration) of all segments, in ticks."""
    peak_bps: int
    """Upper limit of the peak bit rate."""


@dataclass(frozen=True)
class Track:
    """The files of one rung or audio track, in chronological order."""

    name: str
    files: tuple[PlacedFile, ...]
    planned: Planned | None = None
    """None if the track is complete."""

    @property
    def times(self) -> Sequence[tuple[int, int]]:
        """(start, duration) of each segment of the complete track, in ticks."""
        if self.planned is not None:
            return self.planned.times
        return [
            (segment.start_ticks, segment.duration_ticks) for placed in self.files for segment in placed.file.segments
        ]

    @property
    def longest_s(self) -> Fraction:
        """Seconds of the longest segment of the complete track."""
        return Fraction(max(duration for _, duration in self.times), self.files[0].file.timescale)

    @property
    def codec(self) -> str:
        """Codec string (RFC 6381)."""
        return self.files[0].file.codec

    @property
    def segments(self) -> list[tuple[Fraction, int]]:
        """(seconds, bytes) of each segment."""
        return [
            (Fraction(segment.duration_ticks, placed.file.timescale), segment.bytes)
            for placed in self.files
            for segment in placed.file.segments
        ]

    @property
    def duration_s(self) -> Fraction:
        """Seconds of all segments."""
        return sum((duration_s for duration_s, _ in self.segments), Fraction(0))

    @property
    def average_bps(self) -> int:
        """Average bit rate over all segments."""
        return round(sum(size for _, size in self.segments) * 8 / self.duration_s)

    @property
    def peak_bps(self) -> int:
        """Largest bit rate of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216, 4.3.4.2).

        Its limit if the track is not complete.
        """
        if self.planned is not None:
            return max(self.planned.peak_bps, self.average_bps)
        segments, target_s = self.segments, target_duration_s(self)
        peak = Fraction(self.average_bps)
        for start in range(len(segments)):
            run_s, run_bytes = Fraction(0), 0
            for duration_s, size in segments[start:]:
                run_s, run_bytes = run_s + duration_s, run_bytes + size
                if run_s > _LONGEST_PEAK * target_s:
                    break
                if run_s >= _SHORTEST_PEAK * target_s:
                    peak = max(peak, run_bytes * 8 / run_s)
        return round(peak)


def target_duration_s(track: Track) -> int:
    """Return the longest segment's duration, rounded to whole seconds as in RFC 8216, 4.3.3.1; at least 1."""
    return max(1, int(track.longest_s + Fraction(1, 2)))


def key_frame_track(track: Track) -> Track:
    """Return a track whose segments are the key frames of `track`; each lasts until the next one."""
    return Track(
        track.name,
        tuple(replace(placed, file=replace(placed.file, segments=placed.file.key_frames)) for placed in track.files),
    )
