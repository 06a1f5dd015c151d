"""Captions: a source's text streams as WebVTT files on the output's clock, for HLS and DASH."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from .languages import language_of, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FORCED, SDH = "forced", "sdh"
"""Purposes of captions: to translate what is foreign or written for everybody; for the deaf and hard of hearing."""

_SUFFIXES = {"": "", FORCED: " (forced)", SDH: " (SDH)"}

WEBVTT_CONTENT_TYPE = "text/vtt"

MPEGTS_MAP = "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0"
"""Maps time 0 of a WebVTT file to time 0 of the media (RFC 8216, 3.5)."""


class Cue(NamedTuple):
    """A text and when it is displayed, in milliseconds.

    Lines are separated by newlines, and none is empty.
    """

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class CaptionSource:
    """A text stream of a source, on the source's own clock."""

    language: str
    """As declared by the container, e.g. `eng` or `pt-BR`; empty if not declared."""
    title: str
    cues: tuple[Cue, ...]
    purpose: str = ""
    """FORCED, SDH, or empty for any other."""

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> CaptionSource:
        """Rebuild an equal object from the result of dataclasses.asdict, before or after JSON."""
        return cls(**form | {"cues": _cues(form["cues"])})


@dataclass(frozen=True)
class CaptionTrack:
    """One caption track of an output, on the grid's clock."""

    language: str
    """BCP 47 tag, e.g. `en`; empty if unknown."""
    name: str
    """Name shown in the player's menu; unique among the tracks of the output."""
    cues: tuple[Cue, ...]
    purpose: str = ""
    """FORCED, SDH, or empty for any other."""

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> CaptionTrack:
        """Rebuild an equal object from the result of dataclasses.asdict, before or after JSON."""
        return cls(**form | {"cues": _cues(form["cues"])})


def _cues(rows: Iterable[Sequence[Any]]) -> tuple[Cue, ...]:
    return tuple(Cue(*row) for row in rows)


def plan_captions(
    sources: Sequence[CaptionSource], *, start_s: Fraction, duration_s: Fraction
) -> tuple[CaptionTrack, ...]:
    """Return the tracks, shifted so that `start_s` becomes 0, and clipped to `duration_s`.

    `start_s` is on the source's clock. Tracks without a cue are left out.
    """
    start_ms, end_ms = _milliseconds(start_s), math.floor(duration_s * 1000)
    tracks: list[CaptionTrack] = []
    for number, source in enumerate(sources, start=1):
        shifted = [
            Cue(max(0, cue.start_ms - start_ms), min(end_ms, cue.end_ms - start_ms), cue.text) for cue in source.cues
        ]
        cues = tuple(sorted(cue for cue in shifted if cue.end_ms > cue.start_ms))
        if cues:
            language = language_of(source.language)
            usual = (language.name or f"Captions {number}") + _SUFFIXES[source.purpose]
            taken = [track.name for track in tracks]
            name = unique_name(source.title or usual, taken=taken, otherwise="Captions")
            tracks.append(CaptionTrack(language.tag, name, cues, source.purpose))
    return tuple(tracks)


def webvtt(track: CaptionTrack) -> str:
    """Return the track as WebVTT.

    The timestamp map (RFC 8216, 3.5) maps its time 0 to time 0 of the media.
    """
    return "".join([f"WEBVTT\n{MPEGTS_MAP}\n", *map(webvtt_cue, track.cues)])


def webvtt_cue(cue: Cue) -> str:
    """Return the cue as it is in a WebVTT file, after the empty line that separates it from the one before."""
    return f"\n{webvtt_clock(cue.start_ms)} --> {webvtt_clock(cue.end_ms)}\n{_escaped(cue.text)}\n"


def webvtt_time(seconds: Fraction) -> str:
    """Return the time in WebVTT format, rounded to the millisecond: 01:02:03.450."""
    return webvtt_clock(_milliseconds(seconds))


def webvtt_clock(milliseconds: int) -> str:
    """Return the time in WebVTT format: 01:02:03.450."""
    minutes, ms = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _milliseconds(seconds: Fraction) -> int:
    return math.floor(seconds * 1000 + Fraction(1, 2))
