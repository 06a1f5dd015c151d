"""Speech in the plan: which audio track is transcribed, and in which parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..captions import FORCED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from ..captions import CaptionTrack
    from .plan import AudioTrack

_PART_S = 600
"""Length of a part. What a killed container loses is one part for each slot, some minutes of work. Each part is
decoded from the beginning of the file, which is a hundred times faster than real time: in three hours, 18 parts
take 16 CPU minutes for that.
"""


@dataclass(frozen=True)
class SpeechPlan:
    """The transcription of one audio track, in parts that are units of their own."""

    track: int
    """Index of the audio track in the plan."""
    language: str
    """BCP 47 tag of the track; empty if it has to be found out."""
    starts: tuple[int, ...]
    """First frame of each part on the grid, ascending from 0."""
    cost_s: float
    """Estimated CPU seconds of all parts; affects limits only."""

    def part(self, index: int, *, frames: int) -> tuple[int, int]:
        """Return the first frame of a part, and the one after its last. `frames` is the length of the grid."""
        return self.starts[index], self.starts[index + 1] if index + 1 < len(self.starts) else frames

    @classmethod
    def from_json(cls, form: dict[str, Any] | None) -> SpeechPlan | None:
        """Rebuild an equal object from the result of asdict, before or after JSON."""
        return None if form is None else cls(**form | {"starts": tuple(form["starts"])})


def plan_speech(
    tracks: Sequence[AudioTrack], captions: Sequence[CaptionTrack], *, frames: int, rate: Fraction, cpu_s_per_s: float
) -> SpeechPlan | None:
    """Return the plan for the default audio track. None without audio, or if the file has captions of it.

    A caption track without a language counts as one in the language that is spoken, one that only translates
    what is foreign does not. `cpu_s_per_s` is the CPU time for a second of audio.
    """
    spoken = next((number for number, track in enumerate(tracks) if track.is_default), None)
    if spoken is None:
        return None
    language = tracks[spoken].language
    if has_captions(captions, language):
        return None
    parts = max(1, round(frames / rate / _PART_S))
    starts = tuple(frames * number // parts for number in range(parts))
    return SpeechPlan(spoken, language, starts, cost_s=float(frames / rate) * cpu_s_per_s)


def has_captions(captions: Sequence[CaptionTrack], language: str) -> bool:
    """Return whether there are captions of what is spoken in a language; those without one count as such."""
    return any(
        not each.language or same_language(each.language, language) for each in captions if each.purpose != FORCED
    )


def same_language(one: str, other: str) -> bool:
    """Return whether two BCP 47 tags are of one language, wherever it is spoken: `en` and `en-US`."""
    return one.partition("-")[0].lower() == other.partition("-")[0].lower()
