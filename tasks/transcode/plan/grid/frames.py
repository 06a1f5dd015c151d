"""The grid: the timeline of the output, and where the frames of the source are on it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...source import KeyFrame, SourceInfo

_MAX_AUDIO_OVERHANG_S = Fraction(1, 2)
"""Audio that outlasts the video by more than this is content, and the last frame is held meanwhile.
Less is rounding.
"""


class Grid:
    """Positions of the source frames on the grid, and the key frames from which to read them."""

    def __init__(self, source: SourceInfo, rate: Fraction) -> None:
        self._source = source
        self.rate = rate
        up, down = (source.time_base * rate).as_integer_ratio()
        # Rounded half up, as ffmpeg's fps filter does. Integers, because there may be a million.
        self.places = [(2 * (pts - source.first_pts) * up + down) // (2 * down) for pts in source.frame_pts]
        length_s = source.video_s
        if source.audio_span_s is not None:
            audio_s = source.audio_span_s[1] - source.start_s
            if audio_s > length_s + _MAX_AUDIO_OVERHANG_S:
                length_s = audio_s
        self.last_source_frame = self.places[-1] if self.places else 0
        self.frames = max(1, self._fewest_frames(), round_half_up(length_s * rate))
        self._key_times = [key.pts for key in source.keys]

    def _fewest_frames(self) -> int:
        """Return the minimum number of grid frames to show the last source frame; 0 for no minimum.

        The last slide of a slideshow often declares almost no duration.
        """
        last_distance = self.places[-1] - self.places[-2] if len(self.places) > 1 else 0
        return self.places[-1] + 1 if last_distance > 1 else 0

    def seeks_s(self, frame: int) -> tuple[str | None, ...]:
        """Return positions from which to read so that `frame` is decoded correctly, best first.

        These are up to two key frames, the nearest first, then the file's start (None).
        """
        if self._source.splicing is not None:
            return (None,)
        return (*(_microseconds_up(key.seek * self._source.time_base) for key in self._keys_before(frame)), None)

    def start_bytes(self, frame: int) -> tuple[int, ...]:
        """Return the same key frames as offsets in the file, if the source's clock starts over."""
        if self._source.splicing is None or self._source.merges_streams:
            return ()
        return tuple(key.position for key in self._keys_before(frame) if key.position is not None)

    def _keys_before(self, frame: int) -> list[KeyFrame]:
        if frame <= 0:
            return []
        newest = self._newest_key(frame)
        # The file's first key frame needs no seek.
        return [self._source.keys[at] for at in range(newest, max(0, newest - 2), -1)]

    def skipped_frames(self, frame: int) -> int:
        """Return how many frames are decoded before `frame` from the first of these positions."""
        newest = self._newest_key(frame) if frame > 0 else 0
        if newest <= 0:
            return max(0, frame)
        key = bisect_left(self._source.frame_pts, self._key_times[newest])
        return max(0, frame - self.places[key])

    def _newest_key(self, frame: int) -> int:
        """Return the index of the key frame from which `frame` can be decoded; -1 if there is none."""
        shown = max(0, bisect_right(self.places, frame) - 1)
        if self._source.interlaced:
            # The deinterlacer also needs the frame before.
            shown = max(0, shown - 1)
        return bisect_right(self._key_times, self._source.frame_pts[shown]) - 1


def round_half_up(value: Fraction) -> int:
    """Return the nearest whole number; the larger one if two are equally near, as in ffmpeg's fps filter."""
    return math.floor(value + Fraction(1, 2))


def _microseconds_up(seconds: Fraction) -> str:
    """Return seconds for ffmpeg's -ss, rounded up to its precision.

    Rounded down, it would land on the previous key frame.
    """
    exact = Decimal(seconds.numerator) / Decimal(seconds.denominator)
    return str(exact.quantize(Decimal("0.000001"), rounding=ROUND_CEILING))
