"""Collects what the packets of a source tell, one stream at a time; runs in the probe's child process only."""

from __future__ import annotations

import itertools
from typing import Any

import av.error

from ..errors import InputRejectedError
from ..sandbox.limits import MAX_FRAMES
from ..source import KeyFrame

CHECK_AND_EXPORT = "Please check that it plays on your computer, export it again as an MP4 file, and upload that."
"""What the owner of a damaged file can do."""


_WRAPPED_TICKS = 2**31
"""A duration from here on is a negative one that an unsigned number could not hold: the end of an ogg stream is cut by so much."""


def _duration_of(packet: Any) -> int:
    duration: int = packet.duration or 0
    return duration - 2 * _WRAPPED_TICKS if duration >= _WRAPPED_TICKS else duration


class VideoPackets:
    """Collects the packets of the picture stream, and the first picture that decodes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.times: list[int] = []
        self.keys: list[KeyFrame] = []
        self.last: tuple[int, int] | None = None
        """(time, duration) of the last picture shown."""
        self.first: Any = None
        """The first picture that decodes: an av.VideoFrame."""
        self.first_pts = 0
        self._untimed_first: Any = None
        self._untimed_durations: list[int] = []
        """Of the packets before any that has a time: all of them, in a stream that knows no times."""
        self.early = 0
        """How many packets came behind that picture and claim a time before it."""
        self.repeated = 0
        """How many packets claim a time of decoding that was already past: the clock started over."""
        self._latest_dts: int | None = None
        self.closed_gops = True
        """Whether no picture is shown before the key frame that it comes after."""

    def take(self, packet: Any) -> None:
        """Note one packet of the stream, or the empty one at the end. Raises InputRejectedError when there are too many."""
        pts = packet.pts if packet.pts is not None else packet.dts
        if self.first is None and (pts is not None or self._untimed_first is None):
            self._decode(packet)
        self._follow_clock(packet.dts)
        if pts is None:
            if not self.times and packet.size:
                self._untimed_durations.append(max(0, _duration_of(packet)))
            return
        if self.keys and not packet.is_keyframe and pts < self.keys[-1].pts:
            self.closed_gops = False
        if packet.is_keyframe:
            self.keys.append(KeyFrame(pts, pts if packet.dts is None else min(pts, packet.dts)))
        if not packet.is_discard:
            self.early += self.first is not None and pts < self.first_pts
            self.times.append(pts)
            this = (pts, max(0, _duration_of(packet)))
            self.last = this if self.last is None else max(self.last, this)
        if len(self.times) > MAX_FRAMES:
            raise InputRejectedError(
                code="TOO_MANY_PICTURES",
                message=f"The video has more than {MAX_FRAMES} pictures. {CHECK_AND_EXPORT}",
            )

    def settle(self) -> None:
        """Once all packets are taken: in a stream that knows no times, one picture follows on the other, as ffmpeg has it."""
        if self.times or self._untimed_first is None:
            return
        self.first = self._untimed_first
        *self.times, _ = itertools.accumulate(self._untimed_durations, initial=0)
        self.last = (self.times[-1], self._untimed_durations[-1])

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
            # A damaged packet; a later one may do.
            return
        for frame in frames:
            if frame.pts is not None:
                self.first, self.first_pts = frame, frame.pts
                return
            self._untimed_first = self._untimed_first or frame


class AudioPackets:
    """Collects the extent of the audio stream, and whether any of it decodes."""

    _TRIES = 500
    """Packets; about 10 s of AAC, for recordings whose beginning is damaged."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.start: int | None = None
        self.end = 0
        self.decodes = False
        self._tries = 0

    def take(self, packet: Any) -> None:
        """Note one packet of the stream, or the empty one at the end."""
        if not self.decodes and self._tries < self._TRIES:
            self._tries += 1
            try:
                self.decodes = bool(packet.decode())
            except (av.error.FFmpegError, ValueError):
                return
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None or packet.is_discard:
            return
        self.start = pts if self.start is None else min(self.start, pts)
        self.end = max(self.end, pts + _duration_of(packet))
