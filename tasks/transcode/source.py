"""Description of a probed source.

Its times come from packets and decoded frames, never from declared durations.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from .audio.level import AudioLevel
from .byte_ranges import ByteRanges
from .captions import CaptionSource
from .chapters import ChapterMark
from .splicing import Splicing


@dataclass(frozen=True)
class KeyFrame:
    """A packet from which decoding can start. Times are in the time base of the video stream."""

    pts: int
    seek: int
    """The smaller of its pts and dts: the seek target that makes a demuxer land on this packet."""
    position: int | None = None
    """Of its first byte in the file; None if it is not known."""


@dataclass(frozen=True)
class Stretch:
    """About a second of consecutive packets of a stream, in the order in which a demuxer returns them."""

    dts: int
    """Of its first packet, in the source's time base."""
    ranges: ByteRanges
    """The bytes of the file that have its packets."""


@dataclass(frozen=True)
class Shape:
    """Size of a frame as stored, and width over height of its pixels."""

    width_px: int
    height_px: int
    sample_aspect: Fraction

    @property
    def aspect(self) -> Fraction:
        """Width over height of the frame as displayed, before it is turned upright."""
        return self.width_px * self.sample_aspect / self.height_px

    @property
    def area_px(self) -> int:
        """Pixels of the frame as stored."""
        return self.width_px * self.height_px


@dataclass(frozen=True)
class ShapeChange:
    """From `pts` on, in the time base of the video stream, frames have this shape."""

    pts: int
    shape: Shape


Turn = tuple[int, int, int, int]
"""Where the axes of a stored frame point when it is upright, x to the right and y down: the numbers a, b, c and d
of the matrix of ISO/IEC 14496-12, 8.3.2, each -1, 0 or 1.
"""

UPRIGHT: Turn = (1, 0, 0, 1)

Crop = tuple[int, int, int, int]
"""Pixels to cut off, as stored: left, top, right, bottom."""

UNCROPPED: Crop = (0, 0, 0, 0)


@dataclass(frozen=True)
class AudioSource:
    """One audio track to transcode. Times are in seconds on the source's own clock."""

    streams: tuple[int, ...]
    """Index of its stream; of several, if they are microphones that are mixed."""
    codec: str
    channels: int
    sample_rate_hz: int
    start_s: Fraction
    end_s: Fraction
    downmix: str = ""
    """ffmpeg filter that makes stereo of the channels; empty if the resampler does it by itself."""
    level: AudioLevel | None = None
    """None if it could not be measured."""
    profile: str = ""
    """Of the codec, by ffmpeg's name (`LC`, `HE-AAC`); empty if it has none, or an unknown one."""
    language: str = ""
    """As declared by the container, e.g. `eng` or `pt-BR`; empty if not declared."""
    title: str = ""
    purpose: str = ""
    """COMMENTARY or DESCRIPTION (`audio.tracks`), or empty for any other."""
    is_default: bool = False
    """Whether the container declares it as default; exactly one of those of a SourceInfo."""
    stretches: tuple[Stretch, ...] = ()
    """The whole track, timed in the source's time base; empty if it is not known where its packets are."""

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing but silence in what was measured."""
        return self.level is not None and self.level.is_silent


@dataclass(frozen=True)
class SourceInfo:
    """One probed file. Every pts is in units of `time_base`, on the source's own clock."""

    engine: str
    demuxer: str
    stream: int
    """Index of the video stream. If there is none, this and the next three fields describe the
    audio stream.
    """
    codec: str
    time_base: Fraction
    first_pts: int
    """Time of the first frame that decodes; planning makes it frame 0 of the grid unless there is
    an audio lead-in.
    """
    end_pts: int
    """Time at which the last frame ends."""
    frame_pts: tuple[int, ...]
    """Times of all displayed frames, ascending, none before first_pts; empty for an audio-only
    source.
    """
    keys: tuple[KeyFrame, ...]
    """In ascending order of pts."""
    declared_rates: tuple[Fraction, ...]
    """Frame rates that the file declares, most trusted first; used only to break ties."""
    width_px: int
    height_px: int
    """As stored, cropped, before the sample aspect ratio and rotation are applied: of most of the video."""
    sample_aspect: Fraction
    quarter_turns: int
    """Number of 90-degree turns that bring the stored frame upright."""
    pixel_format: str
    matrix: str
    """Colour matrix by ffmpeg's name; `unknown` if the file does not declare it."""
    transfer: str
    """Transfer curve of an HDR source by ffmpeg's name (`smpte2084` or `arib-std-b67`); empty for
    any other.
    """
    full_range: bool
    """Whether black is 0 and white the highest value, not 16 and 235 (of 255) as in most video."""
    interlaced: bool
    """Whether each frame consists of two fields captured one after the other."""
    upright: bool
    """Whether frames are displayed as stored, neither rotated nor mirrored."""
    indexed: bool
    """Whether one sample index describes the whole file; False for anything but MP4 and MOV."""
    bit_rate_bps: int
    """Of the whole file, over the duration of its video."""
    audio: tuple[AudioSource, ...]
    """The tracks to transcode, in the order of the file; empty if there is no audio."""
    declared_duration_s: float
    """Duration that the container declares; 0.0 if it declares none. For display only, never used
    in planning.
    """
    warnings: tuple[str, ...]
    """Codes from SOURCE_WARNINGS for problems that do not prevent transcoding."""
    captions: tuple[CaptionSource, ...] = ()
    chapters: tuple[ChapterMark, ...] = ()
    """In order of time."""
    shapes: tuple[ShapeChange, ...] = ()
    """From which time on frames have which shape, ascending from first_pts; empty if all have the same."""
    turn: Turn = UPRIGHT
    crop_px: Crop = UNCROPPED
    """What the container declares as invisible; of frames of several shapes, nothing."""
    parameter_sets: int = 0
    """Number of different parameter sets that the codec uses; 0 if it has none."""
    size_bytes: int = 0
    stretches: tuple[Stretch, ...] = ()
    """The whole video stream; empty if it is not known where its packets are."""
    splicing: Splicing | None = None
    """What was done to all times here, if the file's clock starts over."""
    merges_streams: bool = False
    """Whether streams of a transport stream continue under other packet identifiers (PIDs)."""
    decoders: tuple[tuple[int, str], ...] = ()
    """Index and decoder of each stream that is of another kind in a part of the file: see `probe.parts`."""
    still_frames: int = 0
    """Frames whose packets are so small that they show nothing new."""
    new_frame_bytes: int = 0
    """Mean size of the packets of all other frames; 0 if it is not known."""

    @property
    def has_video(self) -> bool:
        """Whether there is video; False for an audio-only source."""
        return bool(self.frame_pts)

    @property
    def video_s(self) -> Fraction:
        """Seconds from first_pts to the end of the last frame."""
        return (self.end_pts - self.first_pts) * self.time_base

    @property
    def start_s(self) -> Fraction:
        """Time of first_pts on the source's own clock, in seconds."""
        return self.first_pts * self.time_base

    @property
    def audio_span_s(self) -> tuple[Fraction, Fraction] | None:
        """Start and end of all audio tracks together, on the source's own clock; None without audio."""
        if not self.audio:
            return None
        return min(each.start_s for each in self.audio), max(each.end_s for each in self.audio)

    @property
    def decoded_size_px(self) -> tuple[int, int]:
        """Width and height of most frames as decoded, before they are cropped."""
        left, top, right, bottom = self.crop_px
        return self.width_px + left + right, self.height_px + top + bottom

    @property
    def display_size_px(self) -> tuple[Fraction, Fraction]:
        """Width and height as displayed: square pixels, upright."""
        width, height = self.width_px * self.sample_aspect, Fraction(self.height_px)
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable form; fractions are strings."""
        form = asdict(self)
        form["time_base"] = str(self.time_base)
        form["sample_aspect"] = str(self.sample_aspect)
        form["declared_rates"] = [str(rate) for rate in self.declared_rates]
        form["shapes"] = [
            [each.pts, each.shape.width_px, each.shape.height_px, str(each.shape.sample_aspect)] for each in self.shapes
        ]
        form["keys"] = [[key.pts, key.seek, key.position] for key in self.keys]
        form["stretches"] = [[each.dts, each.ranges] for each in self.stretches]
        form["audio"] = [
            track
            | {
                "start_s": str(source.start_s),
                "end_s": str(source.end_s),
                "stretches": [[each.dts, each.ranges] for each in source.stretches],
            }
            for track, source in zip(form["audio"], self.audio, strict=True)
        ]
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> SourceInfo:
        """Rebuild an equal object from the result of to_json."""
        return cls(
            **form
            | {
                "time_base": Fraction(form["time_base"]),
                "sample_aspect": Fraction(form["sample_aspect"]),
                "declared_rates": tuple(Fraction(rate) for rate in form["declared_rates"]),
                "keys": tuple(KeyFrame(*key) for key in form["keys"]),
                "frame_pts": tuple(form["frame_pts"]),
                "audio": tuple(_audio(track) for track in form["audio"]),
                "warnings": tuple(form["warnings"]),
                "shapes": tuple(
                    ShapeChange(pts, Shape(width_px, height_px, Fraction(aspect)))
                    for pts, width_px, height_px, aspect in form["shapes"]
                ),
                "turn": tuple(form["turn"]),
                "decoders": tuple((index, name) for index, name in form["decoders"]),
                "crop_px": tuple(form["crop_px"]),
                "stretches": _stretches(form["stretches"]),
                "splicing": Splicing.from_json(form["splicing"]),
                "captions": tuple(CaptionSource.from_json(each) for each in form["captions"]),
                "chapters": tuple(ChapterMark(*mark) for mark in form["chapters"]),
            }
        )


def _audio(form: dict[str, Any]) -> AudioSource:
    return AudioSource(
        **form
        | {
            "streams": tuple(form["streams"]),
            "start_s": Fraction(form["start_s"]),
            "end_s": Fraction(form["end_s"]),
            "level": AudioLevel(**form["level"]) if form["level"] else None,
            "stretches": _stretches(form["stretches"]),
        }
    )


def _stretches(form: list[Any]) -> tuple[Stretch, ...]:
    return tuple(Stretch(dts, tuple((first, end) for first, end in ranges)) for dts, ranges in form)
