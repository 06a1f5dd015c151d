"""The plan: everything that the bytes of an output depend on, fixed once for all containers.

Plain data, convertible to JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from ..captions import CaptionTrack
from ..chapters import Chapter
from ..errors import EncodeError, UnitKey, audio_unit
from ..splicing import Splicing
from .fit import Fit
from .ladder import Rung
from .source_reads import SourceReads
from .speech import SpeechPlan
from .thumbnails import ThumbnailPlan

PLAN_VERSION = 15
"""Increases when the meaning of the JSON form changes."""

MIN_REMAINDER_S = Fraction(1, 2)
"""A remainder shorter than this is appended to the segment before it. hls.js 1.7 reports an error
for a last segment of two frames, whose B-frame delay is as long as the segment itself (measured),
and no player benefits from such a segment.
"""


def segment_starts(first_frame: int, end_frame: int, *, segment_frames: int, rate: Fraction) -> list[int]:
    """Return the first frame of each segment up to `end_frame`; one starts at `first_frame`."""
    starts = list(range(first_frame, end_frame, segment_frames))
    if len(starts) > 1 and (end_frame - starts[-1]) / rate < MIN_REMAINDER_S:
        del starts[-1]
    return starts


@dataclass(frozen=True)
class VideoUnit:
    """Part of the grid: the frames from `first_frame` up to, but not including, `end_frame`."""

    index: int
    first_frame: int
    end_frame: int
    seeks_s: tuple[str | None, ...]
    """Positions from which to read, best first, in seconds on the source's clock as strings; None
    is the file's start.

    The next one is tried if the demuxer lands too late with the one before.
    """
    skipped_frames: int
    """Frames between the first of these positions and the first frame to encode: decoded, and dropped."""
    start_bytes: tuple[int, ...] = ()
    """Offsets in the file from which to read instead, best first, if the source's clock starts over: a
    time is not one place then. After them comes the file's start.
    """

    @property
    def places(self) -> tuple[int | str | None, ...]:
        """All of these positions, best first."""
        return (*self.start_bytes, *self.seeks_s)


@dataclass(frozen=True)
class AudioUnit:
    """Part of an audio track: AAC frames from `first_aac` up to, but not including, `end_aac`.

    `first_frame` and `end_frame` are the grid frames of the same time.
    """

    index: int
    """Among the audio units of all tracks: first the first part of each track, then the second ones."""
    track: int
    """Index of the track in the plan."""
    first_aac: int
    end_aac: int
    first_frame: int
    end_frame: int

    @property
    def key(self) -> UnitKey:
        """Return the unit's key."""
        return audio_unit(self.index)


@dataclass(frozen=True)
class AudioTrack:
    """One audio track of the output: a language, a commentary, or microphones that are mixed."""

    streams: tuple[int, ...]
    """Index of its stream in the source; of two, if they are microphones."""
    downmix: str
    """ffmpeg filter that makes stereo of the channels; empty if the resampler does it by itself."""
    is_one_sided: bool
    """Whether only one channel has audio, which both ears get then."""
    gain_db: float | None
    """Gain that brings the audio to the profile's loudness; None if it is to be left as it is."""
    language: str
    """BCP 47 tag, e.g. `en`; empty if unknown."""
    name: str
    """Name shown in the player's menu; unique among the audio tracks of the output."""
    purpose: str
    """COMMENTARY or DESCRIPTION (`audio.tracks`), or empty for any other."""
    is_default: bool
    """Whether it is played unless viewers choose another one; exactly one track is."""


@dataclass(frozen=True)
class AudioPlan:
    """The whole audio as AAC tracks on the grid's clock, all of them equally long."""

    start_s: Fraction
    """Time of frame 0 of the grid on the source's clock; it becomes time 0."""
    aac_frames: int
    """Length in AAC frames of 1,024 samples; the audio is padded with silence or cut to this
    length.
    """
    bit_rate_bps: int
    sample_rate_hz: int
    cuts: tuple[int, ...]
    """First AAC frame of each segment, ascending from 0."""
    unit_segments: tuple[int, ...]
    """First segment of each audio unit of a track, ascending from 0."""
    tracks: tuple[AudioTrack, ...]
    """In the order of the source."""


@dataclass(frozen=True)
class Plan:
    """How one source becomes one output.

    Frame numbers refer to the grid: `rate` frames per second from `first_pts` on.

    `first_pts` is the time of the first video frame, or the start of the audio lead-in if there is
    one.

    For an audio-only source there are no rungs and no video units, and the grid is that of the AAC
    frames.
    """

    engine: str
    profile: str
    demuxer: str
    stream: int
    time_base: Fraction
    first_pts: int
    source_px: int
    """Pixels of the largest source frame as stored; affects limits, not output bytes."""
    matrix: str
    """Colour matrix of the source by ffmpeg's name."""
    transfer: str
    """Transfer curve of an HDR source by ffmpeg's name; empty for any other."""
    full_range: bool
    """Whether the source has the full range of values. Used for HDR; ffmpeg applies it by itself otherwise."""
    interlaced: bool
    rate: Fraction
    frames: int
    first_source_frame: int
    """Grid frame at which the source's first frame is due; it is also shown before that, during the
    audio lead-in.
    """
    last_source_frame: int
    """Grid frame at which the source's last frame is due; it is repeated from there to the end."""
    gop_frames: int
    segment_frames: int
    warm_up_frames: int
    look_ahead_frames: int
    preset: str
    threads: int
    """Threads per encoder; a different number produces different bytes.

    With a limited bit rate, more than one thread produces different bytes at every run:
    findings/x264-capped-crf-threads.sh.
    """
    rungs: tuple[Rung, ...]
    video_units: tuple[VideoUnit, ...]
    audio: AudioPlan | None
    poster_frame: int
    poster_rung: str
    """Rung whose size the poster has; empty for an audio-only source, whose poster is made from the
    audio.
    """
    thumbnails: ThumbnailPlan | None
    """None for an audio-only source, and for a profile without thumbnails."""
    captions: tuple[CaptionTrack, ...]
    chapters: tuple[Chapter, ...]
    """In order, without overlaps."""
    plays_directly: bool
    """Whether browsers can play the source as it is, before anything is encoded."""
    warnings: tuple[str, ...]
    """Codes from SOURCE_WARNINGS, whose messages are for the file's owner."""
    video_cost_s: float
    """Estimated CPU seconds of all video units without their warm-up frames; affects limits, not output bytes."""
    fit: Fit | None = None
    """How source frames become frames of one size; None for an audio-only source."""
    reads: SourceReads | None = None
    """Which bytes of the source each unit reads; None if that was not found out. Affects what is
    fetched, not output bytes.
    """
    splicing: Splicing | None = None
    """What is done to all times, if the source's clock starts over."""
    merges_streams: bool = False
    """Whether streams of a transport stream continue under other packet identifiers (PIDs)."""
    decoders: tuple[tuple[int, str], ...] = ()
    """Index and decoder of each stream that is of another kind in a part of the file."""
    speech: SpeechPlan | None = None
    """What is transcribed for automatic captions, if anything."""

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio unit."""
        return self.audio is not None

    @property
    def audio_units(self) -> tuple[AudioUnit, ...]:
        """The audio units by index; none without audio. Those of each track are in chronological order."""
        audio = self.audio
        if audio is None:
            return ()
        starts = [(audio.cuts[first], first * self.segment_frames) for first in audio.unit_segments]
        ends = [*starts[1:], (audio.aac_frames, self.frames)]
        count = len(audio.tracks)
        return tuple(
            AudioUnit(part * count + track, track, first_aac, end_aac, first_frame, end_frame)
            for part, ((first_aac, first_frame), (end_aac, end_frame)) in enumerate(zip(starts, ends, strict=True))
            for track in range(count)
        )

    @property
    def audio_tracks(self) -> tuple[AudioTrack, ...]:
        """The audio tracks; none without audio."""
        return self.audio.tracks if self.audio is not None else ()

    def has_poster(self, unit: AudioUnit) -> bool:
        """Return whether an audio unit makes the poster: that of the default track, if there is no video."""
        return not self.rungs and self.audio_tracks[unit.track].is_default

    @property
    def duration_s(self) -> float:
        """Duration of the output in seconds."""
        return float(self.frames / self.rate)

    def audio_end_s(self, index: int) -> float:
        """Return the end of an audio unit in seconds, to which it is encoded from the beginning."""
        return float(self.audio_units[index].end_frame / self.rate)

    @property
    def timescale(self) -> int:
        """Ticks per second of the video tracks; a frame lasts a whole number of ticks."""
        return self.rate.numerator * (512 if self.rate.denominator == 1 else 1)

    @property
    def frame_ticks(self) -> int:
        """Duration of a frame in ticks."""
        return 512 if self.rate.denominator == 1 else self.rate.denominator

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable form; fractions are strings."""
        form = asdict(self)
        form |= {"version": PLAN_VERSION, "time_base": str(self.time_base), "rate": str(self.rate)}
        form["fit"] = self.fit.to_json() if self.fit else None
        if self.audio is not None:
            form["audio"]["start_s"] = str(self.audio.start_s)
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Plan:
        """Rebuild an equal plan from the result of to_json, before or after JSON.

        Raises EncodeError for another version.
        """
        if form.get("version") != PLAN_VERSION:
            raise EncodeError(
                code="PLAN_VERSION",
                message=f"The plan has version {form.get('version')}; this engine reads version {PLAN_VERSION}.",
            )
        fields = {name: value for name, value in form.items() if name != "version"}
        audio = form["audio"]
        if audio is not None:
            audio = AudioPlan(
                **audio
                | {
                    "start_s": Fraction(audio["start_s"]),
                    "cuts": tuple(audio["cuts"]),
                    "unit_segments": tuple(audio["unit_segments"]),
                    "tracks": tuple(
                        AudioTrack(**each | {"streams": tuple(each["streams"])}) for each in audio["tracks"]
                    ),
                }
            )
        return cls(
            **fields
            | {
                "time_base": Fraction(form["time_base"]),
                "rate": Fraction(form["rate"]),
                "rungs": tuple(Rung(**rung) for rung in form["rungs"]),
                "thumbnails": ThumbnailPlan(**form["thumbnails"]) if form["thumbnails"] else None,
                "captions": tuple(CaptionTrack.from_json(each) for each in form["captions"]),
                "chapters": tuple(Chapter(*chapter) for chapter in form["chapters"]),
                "video_units": tuple(
                    VideoUnit(**unit | {"seeks_s": tuple(unit["seeks_s"]), "start_bytes": tuple(unit["start_bytes"])})
                    for unit in form["video_units"]
                ),
                "audio": audio,
                "fit": Fit.from_json(form["fit"]) if form["fit"] else None,
                "warnings": tuple(form["warnings"]),
                "splicing": Splicing.from_json(form["splicing"]),
                "speech": SpeechPlan.from_json(form["speech"]),
                "decoders": tuple((index, name) for index, name in form["decoders"]),
                "reads": SourceReads.from_json(form["reads"]) if form["reads"] else None,
            }
        )
