"""What the engine knows about a source, all of it from packets and decoded pictures, never from declared durations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from .captions import CaptionSource


@dataclass(frozen=True)
class KeyFrame:
    """A packet from which decoding can start. Times in the picture stream's time base."""

    pts: int
    seek: int
    """The smaller of its pts and dts: what a demuxer must be asked for to land on this packet."""


@dataclass(frozen=True)
class AudioSource:
    """The audio stream that will be heard. Times in seconds on the source's own clock."""

    stream: int
    codec: str
    channels: int
    sample_rate_hz: int
    start_s: Fraction
    end_s: Fraction


@dataclass(frozen=True)
class SourceInfo:
    """One probed file. All pts count in `time_base`, on the source's own clock."""

    engine: str
    demuxer: str
    stream: int
    """The picture stream; where there are no pictures, the audio stream, like the three fields after this one."""
    codec: str
    time_base: Fraction
    first_pts: int
    """Time of the first picture that decodes: frame 0 of the grid."""
    end_pts: int
    """Time at which the last picture ends."""
    frame_pts: tuple[int, ...]
    """Times of all shown pictures, ascending, none before first_pts; empty where there is only sound."""
    keys: tuple[KeyFrame, ...]
    """Ascending by pts."""
    declared_rates: tuple[Fraction, ...]
    """Picture rates that the file claims, most trusted first; hints only."""
    width_px: int
    height_px: int
    """As stored, before sample aspect ratio and rotation."""
    sample_aspect: Fraction
    quarter_turns: int
    """By how many times 90 degrees the stored picture must be turned to stand upright."""
    pixel_format: str
    matrix: str
    """The colour matrix by ffmpeg's name, `unknown` where the file doesn't say."""
    transfer: str
    """The transfer curve by ffmpeg's name where it is one of HDR (`smpte2084`, `arib-std-b67`), else empty."""
    interlaced: bool
    """Whether pictures are made of two fields each, taken one after the other."""
    upright: bool
    """Whether pictures are shown as they are stored, neither turned nor mirrored."""
    closed_gops: bool
    """Whether no picture is shown before the key frame that it comes after: playback can start at each."""
    bit_rate_bps: int
    """Of the whole file, over the time of its pictures."""
    audio: AudioSource | None
    declared_duration_s: float
    """What the container claims; 0.0 where it doesn't. Shown to people, never used to plan."""
    warnings: tuple[str, ...]
    """Stable codes of what is odd about the file but did not stop us."""
    captions: tuple[CaptionSource, ...] = ()

    @property
    def has_video(self) -> bool:
        """Tell a video from a recording of sound alone."""
        return bool(self.frame_pts)

    @property
    def video_s(self) -> Fraction:
        """Seconds from the first picture to the end of the last one."""
        return (self.end_pts - self.first_pts) * self.time_base

    @property
    def start_s(self) -> Fraction:
        """Time of the first picture on the source's own clock, in seconds."""
        return self.first_pts * self.time_base

    @property
    def display_size_px(self) -> tuple[Fraction, Fraction]:
        """Width and height as shown: square pixels, upright."""
        width, height = self.width_px * self.sample_aspect, Fraction(self.height_px)
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def to_json(self) -> dict[str, Any]:
        """Return a form that JSON can carry; fractions as text."""
        form = asdict(self)
        form["time_base"] = str(self.time_base)
        form["sample_aspect"] = str(self.sample_aspect)
        form["declared_rates"] = [str(rate) for rate in self.declared_rates]
        form["keys"] = [[key.pts, key.seek] for key in self.keys]
        if self.audio is not None:
            form["audio"] |= {"start_s": str(self.audio.start_s), "end_s": str(self.audio.end_s)}
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> SourceInfo:
        """Rebuild what to_json gave."""
        audio = form["audio"]
        if audio is not None:
            audio = AudioSource(**audio | {"start_s": Fraction(audio["start_s"]), "end_s": Fraction(audio["end_s"])})
        return cls(
            **form
            | {
                "time_base": Fraction(form["time_base"]),
                "sample_aspect": Fraction(form["sample_aspect"]),
                "declared_rates": tuple(Fraction(rate) for rate in form["declared_rates"]),
                "keys": tuple(KeyFrame(pts, seek) for pts, seek in form["keys"]),
                "frame_pts": tuple(form["frame_pts"]),
                "audio": audio,
                "warnings": tuple(form["warnings"]),
                "captions": tuple(CaptionSource.from_json(each) for each in form["captions"]),
            }
        )
