"""Facts collected from the packets of an audio stream.

Runs only in the probe's child process.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av.error

from ...audio.meter import AudioMeter
from ...audio.tracks import COMMENTARY, DESCRIPTION
from ...sandbox.limits import MAX_GAP_S
from ...source import AudioSource, Stretch
from ..packets import duration_of
from ..positions import Positions

_BREAK_S = 60


class AudioPackets:
    """Extent of the audio stream, whether any of it decodes, and its level."""

    _TRIES = 500
    """Maximum number of packets to try to decode: about 10 s of AAC, for recordings whose beginning
    is damaged.
    """

    def __init__(self, stream: Any, size_bytes: int) -> None:
        self.stream = stream
        self.meter = AudioMeter(stream, size_bytes)
        self._positions = Positions(Fraction(stream.time_base), audio=True)
        self.start: int | None = None
        self.end = 0
        self.decodes = False
        self.is_cut = False
        """Whether `source` left something out."""
        self._tries = 0
        self._breaks: list[tuple[int, int]] = []
        """Ends and starts of the stretches without audio that are longer than a minute."""
        self._break_ticks = _BREAK_S / Fraction(stream.time_base)

    @property
    def is_empty(self) -> bool:
        """Whether there was no packet with a time."""
        return self.start is None

    def covers(self, start_s: Fraction, end_s: Fraction) -> bool:
        """Return whether there is audio from `start_s` to `end_s`, but for pauses of a minute."""
        if self.start is None or not self.decodes:
            return False
        time_base = Fraction(self.stream.time_base)
        breaks = [*self._breaks, (self.end, math.inf)]
        return start_s >= self.start * time_base - _BREAK_S and not any(
            end * time_base < end_s - _BREAK_S and start * time_base > start_s for end, start in breaks
        )

    def take(self, packet: Any) -> None:
        """Process one packet of the stream, or the empty packet at the end."""
        self._positions.take(packet)
        is_tried = not self.decodes and self._tries < self._TRIES
        if self.meter.wants(packet) or is_tried:
            self._tries += is_tried
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                if is_tried:
                    return
                frames = []
            self.decodes = self.decodes or bool(frames)
            self.meter.take(frames)
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None or packet.is_discard:
            return
        if self.start is not None and pts > self.end + self._break_ticks:
            self._breaks.append((self.end, pts))
        self.start = pts if self.start is None else min(self.start, pts)
        self.end = max(self.end, pts + duration_of(packet))

    def source(self, video_end_s: Fraction | None = None) -> AudioSource | None:
        """Return the description; None if none of the audio decodes.

        Audio after the end of the video and after a break of more than an hour is left out: its times are damaged.
        """
        if self.start is None or not self.decodes:
            return None
        time_base, codec = Fraction(self.stream.time_base), self.stream.codec_context
        end = self.end if video_end_s is None else self._end_in_time(video_end_s / time_base)
        self.is_cut = end < self.end
        return AudioSource(
            streams=(self.stream.index,),
            codec=codec.name,
            channels=codec.channels,
            sample_rate_hz=codec.sample_rate,
            start_s=self.start * time_base,
            end_s=end * time_base,
            downmix=self.meter.downmix,
            level=self.meter.level(),
            profile=codec.profile or "",
            language=self.stream.metadata.get("language", ""),
            title=self.stream.metadata.get("title") or self.stream.metadata.get("name", ""),
            purpose=_purpose(self.stream),
            is_default=bool(self.stream.disposition & self.stream.disposition.default),
        )

    def _end_in_time(self, video_end: Fraction) -> int:
        most = MAX_GAP_S / Fraction(self.stream.time_base)
        late = (end for end, start in self._breaks if start > video_end and start - end > most)
        return min(late, default=self.end)

    def stretches(self, time_base: Fraction) -> tuple[Stretch, ...]:
        """Return the stretches of the audio, timed in another time base."""
        ticks = Fraction(self.stream.time_base) / time_base
        return tuple(replace(each, dts=math.floor(each.dts * ticks)) for each in self._positions.stretches())


def _purpose(stream: Any) -> str:
    flags = stream.disposition
    if flags & (flags.visual_impaired | flags.descriptions):
        return DESCRIPTION
    return COMMENTARY if flags & flags.comment else ""
