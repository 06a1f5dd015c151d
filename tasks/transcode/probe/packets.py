"""Facts collected from the packets of the video stream.

Runs only in the probe's child process.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.error

from ..errors import InputRejectedError
from ..rejections import rejection
from ..sandbox.limits import MAX_FRAMES
from ..source import KeyFrame
from .positions import Positions
from .sizes.looks import Looks

if TYPE_CHECKING:
    from collections.abc import Sequence

_CAPTIONED = frozenset({"h264", "hevc", "mpeg2video"})
_CAPTIONS, _CAPTIONS_WITHIN_BYTES = b"GA94", 512
"""What captions inside a frame begin with (ATSC A/53 part 4, 6.2.2), and where it is: before the frame itself."""

_WRAPPED_TICKS = 2**31
"""A duration from this value up is a negative one that wrapped around in 32 unsigned bits: the end
of an ogg stream is trimmed by that much.
"""


def duration_of(packet: Any) -> int:
    """Return a packet's duration in ticks of its stream; 0 if it is unknown."""
    duration: int = packet.duration or 0
    return duration - 2 * _WRAPPED_TICKS if duration >= _WRAPPED_TICKS else duration


class VideoPackets:
    """Facts collected from the packets of the video stream, and the first frame that decodes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.positions = Positions(Fraction(stream.time_base))
        self.looks = Looks(stream)
        self.times: list[int] = []
        self.sizes: list[int] = []
        """Bytes of the packets with a time."""
        self.keys: list[KeyFrame] = []
        self.last: tuple[int, int] | None = None
        """(time, duration) of the last frame displayed."""
        self.first: Any = None
        """The first frame that decodes: an av.VideoFrame."""
        self.first_pts = 0
        self._untimed_first: Any = None
        self._untimed_durations: list[int] = []
        """Of the packets before the first one with a timestamp: all of them if the stream has no
        timestamps.
        """
        self.early = 0
        """Number of packets read after that frame whose time is before it."""
        self.repeated = 0
        """Number of packets whose dts is before the latest dts: the clock started over."""
        self.has_captions = False
        """Whether frames have captions (CEA-608 or CEA-708) inside."""
        self._may_have_captions = stream.codec_context.codec.canonical_name in _CAPTIONED
        self._latest_dts: int | None = None
        self._position: int | None = None
        """Of the latest packet that had one: those without begin in the same packet of the container."""

    def take(self, packet: Any) -> None:
        """Process one packet of the stream, or the empty packet at the end.

        Raises InputRejectedError if there are too many.
        """
        pts = packet.pts if packet.pts is not None else packet.dts
        self.positions.take(packet)
        if packet.pos is not None and packet.pos >= 0:
            self._position = packet.pos
        if self.first is None and (pts is not None or self._untimed_first is None):
            self._decode(packet)
        self._follow_clock(packet.dts)
        if self._may_have_captions and not self.has_captions and packet.size:
            self.has_captions = _CAPTIONS in bytes(memoryview(packet)[:_CAPTIONS_WITHIN_BYTES])
        if pts is None:
            if not self.times and packet.size:
                self._untimed_durations.append(max(0, duration_of(packet)))
            return
        if packet.is_keyframe:
            self.keys.append(KeyFrame(pts, pts if packet.dts is None else min(pts, packet.dts), self._position))
        if not packet.is_discard:
            self.early += self.first is not None and pts < self.first_pts
            self.times.append(pts)
            self.sizes.append(packet.size)
            current = (pts, max(0, duration_of(packet)))
            self.last = current if self.last is None else max(self.last, current)
        if len(self.times) > MAX_FRAMES:
            raise InputRejectedError(**rejection("TOO_MANY_PICTURES", limit=MAX_FRAMES))
        self.looks.take(packet, pts)

    def assign_missing_times(self) -> None:
        """Assign times back to back, as ffmpeg does, if the stream has no timestamps.

        Call after the last packet.
        """
        if self.times or self._untimed_first is None:
            return
        self.first = self._untimed_first
        *self.times, _ = itertools.accumulate(self._untimed_durations, initial=0)
        self.last = (self.times[-1], self._untimed_durations[-1])

    def end(self, times: Sequence[int]) -> int:
        """Return when the last frame of `times` ends, from its own duration or else the median frame distance."""
        if self.last is not None and self.last[0] == times[-1] and self.last[1] > 0:
            return sum(self.last)
        if len(times) > 1:
            distances = sorted(later - earlier for earlier, later in itertools.pairwise(times))
            return times[-1] + distances[len(distances) // 2]
        rate = Fraction(self.stream.average_rate or 25)
        return times[-1] + max(1, round(1 / rate / Fraction(self.stream.time_base)))

    def _follow_clock(self, dts: int | None) -> None:
        if dts is None:
            return
        if self._latest_dts is not None and dts < self._latest_dts:
            self.repeated += 1
        else:
            self._latest_dts = dts

    def _decode(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            # A damaged packet; a later one may decode.
            return
        for frame in frames:
            if frame.pts is not None:
                self.first, self.first_pts = frame, frame.pts
                return
            self._untimed_first = self._untimed_first or frame
