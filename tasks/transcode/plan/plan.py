"""The plan: everything that decides the bytes of an output, once and for all containers. Plain data, fit for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from ..captions import CaptionTrack
from ..errors import EncodeError
from .ladder import Rung
from .thumbnails import ThumbnailPlan

PLAN_VERSION = 5
"""Grows when the JSON form changes its meaning."""

SHORTEST_REMAINDER_S = Fraction(1, 2)
"""A rest shorter than this is part of the segment before it. hls.js 1.7 reports an error for a last segment of two pictures, whose
B-frame delay is as long as itself (measured), and no player gains from one."""


def segment_starts(first_frame: int, end_frame: int, *, segment_frames: int, rate: Fraction) -> list[int]:
    """Return the first frame of each segment of a stretch that begins with one."""
    starts = list(range(first_frame, end_frame, segment_frames))
    if len(starts) > 1 and (end_frame - starts[-1]) / rate < SHORTEST_REMAINDER_S:
        del starts[-1]
    return starts


@dataclass(frozen=True)
class VideoUnit:
    """A stretch of the grid: frames `first_frame` up to, not including, `end_frame`."""

    index: int
    first_frame: int
    end_frame: int
    seeks_s: tuple[str | None, ...]
    """Where to start reading, best first, in seconds on the source's clock as text; None is the file's beginning.

    A later one is for sources whose demuxer lands too late with an earlier one.
    """


@dataclass(frozen=True)
class AudioPlan:
    """The whole sound as one AAC track on the grid's clock."""

    stream: int
    start_s: Fraction
    """Time of the grid's frame 0 on the source's clock: what becomes 0."""
    aac_frames: int
    """Length in frames of 1,024 samples, silence added or sound cut to reach it."""
    bit_rate_bps: int
    sample_rate_hz: int
    cuts: tuple[int, ...]
    """First AAC frame of each segment, ascending from 0."""


@dataclass(frozen=True)
class PreviewPlan:
    """The source's own pictures as a preview: their size as stored and shown."""

    width_px: int
    height_px: int


@dataclass(frozen=True)
class Plan:
    """How one source becomes one output. Frames count on a grid of `rate` frames a second from `first_pts` on.

    That is the time of the first picture, or of the sound where that begins clearly earlier.

    Without pictures there are no rungs and no video units, and the grid is that of the AAC frames.
    """

    engine: str
    profile: str
    demuxer: str
    stream: int
    time_base: Fraction
    first_pts: int
    source_px: int
    """Pixels of a source picture as stored; decides limits, not bytes."""
    matrix: str
    """Colour matrix of the source, by ffmpeg's name."""
    transfer: str
    """Transfer curve of an HDR source, by ffmpeg's name; empty for any other."""
    interlaced: bool
    rate: Fraction
    frames: int
    first_source_frame: int
    """Where the source's first picture sits; until then it stands still, while the sound goes on."""
    last_source_frame: int
    """Where the source's last picture sits; from there on it stands still."""
    gop_frames: int
    segment_frames: int
    warm_up_frames: int
    look_ahead_frames: int
    preset: str
    threads: int
    """Threads of each encoder; another number gives other bytes."""
    rungs: tuple[Rung, ...]
    video_units: tuple[VideoUnit, ...]
    audio: AudioPlan | None
    poster_frame: int
    poster_rung: str
    """The poster has this rung's size; empty where the sound alone makes it."""
    thumbnails: ThumbnailPlan | None
    """None where there are no pictures."""
    captions: tuple[CaptionTrack, ...]
    preview: PreviewPlan | None
    """Present where the source's own streams can be offered as they are, before anything is encoded."""
    warnings: tuple[str, ...]
    """Codes of SOURCE_WARNINGS: what the file's owner is told."""

    @property
    def has_audio(self) -> bool:
        """Tell whether there is an audio unit."""
        return self.audio is not None

    @property
    def duration_s(self) -> float:
        """Length of the output in seconds."""
        return float(self.frames / self.rate)

    @property
    def timescale(self) -> int:
        """Ticks a second of the video tracks: a frame is a whole number of them."""
        return self.rate.numerator * (512 if self.rate.denominator == 1 else 1)

    @property
    def frame_ticks(self) -> int:
        """Ticks a frame lasts."""
        return 512 if self.rate.denominator == 1 else self.rate.denominator

    def to_json(self) -> dict[str, Any]:
        """Return a form that JSON can carry; fractions as text."""
        form = asdict(self)
        form |= {"version": PLAN_VERSION, "time_base": str(self.time_base), "rate": str(self.rate)}
        if self.audio is not None:
            form["audio"]["start_s"] = str(self.audio.start_s)
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Plan:
        """Rebuild exactly what to_json gave, before or after JSON. Raises EncodeError for another version."""
        if form.get("version") != PLAN_VERSION:
            raise EncodeError(
                code="PLAN_VERSION",
                message=f"The plan has version {form.get('version')}, this engine reads {PLAN_VERSION}.",
            )
        fields = {name: value for name, value in form.items() if name != "version"}
        audio = form["audio"]
        if audio is not None:
            audio = AudioPlan(**audio | {"start_s": Fraction(audio["start_s"]), "cuts": tuple(audio["cuts"])})
        return cls(
            **fields
            | {
                "time_base": Fraction(form["time_base"]),
                "rate": Fraction(form["rate"]),
                "rungs": tuple(Rung(**rung) for rung in form["rungs"]),
                "thumbnails": ThumbnailPlan(**form["thumbnails"]) if form["thumbnails"] else None,
                "captions": tuple(CaptionTrack.from_json(each) for each in form["captions"]),
                "video_units": tuple(
                    VideoUnit(**unit | {"seeks_s": tuple(unit["seeks_s"])}) for unit in form["video_units"]
                ),
                "audio": audio,
                "preview": PreviewPlan(**form["preview"]) if form["preview"] else None,
                "warnings": tuple(form["warnings"]),
            }
        )
