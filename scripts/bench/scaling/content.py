"""What the simulated containers work on, and what it costs them.

CPU seconds were measured with the real engine on one core of a machine like those of
docs/performance.md; a vCPU counts as one such core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from tasks.transcode import PROFILES
from tests.unit.transcode.sources import make_audio, make_source

if TYPE_CHECKING:
    from tasks.transcode import Plan, SourceInfo

RATE = 30
PROFILE = PROFILES["standard"]
_SEGMENT_S = 6
_BEGINS_S = 1

_AUDIO_S_PER_S = 0.0154
"""CPU seconds per second of audio, from the beginning to the end of the unit: 55.4 for an hour (ADR 36)."""

_PLAN_S_PER_HOUR = 1.5
"""CPU seconds of the plan for an hour of 1080p (ADR 36)."""

_LEVEL_S, _MEASURED_S = 2.5, 300
"""CPU seconds to measure the level of the audio, of which at most these seconds are decoded (ADR 41)."""


@dataclass(frozen=True)
class Content:
    """A kind of video in 1080p at 30 frames per second, with five rungs."""

    name: str
    frame_s: float
    """CPU seconds for each frame that is encoded, warm-up and look-ahead frames included."""
    source_bps: float
    output_bps: float
    """All rungs together."""
    unit_spread: float
    """Standard deviation of a unit's cost, as a share of it."""


LECTURE = Content(name="lecture", frame_s=0.0367, source_bps=5e6, output_bps=3.2e6, unit_spread=0.1)
"""Slides, with a film in a corner: 282 CPU seconds for 4 minutes, 14.7 for the first unit of 12 s."""

SMALL_LECTURE = replace(LECTURE, name="lecture, 2 Mbit/s", source_bps=2e6)

FILM = Content(name="camera", frame_s=0.112, source_bps=8e6, output_bps=7.5e6, unit_spread=0.2)
"""A film with much motion: 1070 CPU seconds for 5 minutes."""


@lru_cache
def source_of(hours: float) -> SourceInfo:
    """Return the probed source of a video of this length."""
    frames = round(hours * 3600 * RATE)
    return make_source(frames=frames, audio=make_audio(_BEGINS_S, _BEGINS_S + Fraction(frames, RATE)))


@dataclass(frozen=True)
class Work:
    """What each unit of one plan takes."""

    content: Content
    plan: Plan

    @property
    def source_bytes(self) -> int:
        """Size of the source."""
        return round(self.plan.duration_s * self.content.source_bps / 8)

    @property
    def plan_s(self) -> float:
        """CPU seconds of the plan."""
        level_s = min(1.0, self.plan.duration_s / _MEASURED_S) * _LEVEL_S
        return self.plan.duration_s / 3600 * _PLAN_S_PER_HOUR + level_s

    def video_s(self, index: int) -> float:
        """Return the CPU seconds of a video unit."""
        unit = self.plan.video_units[index]
        first = max(0, unit.first_frame - self.plan.warm_up_frames)
        end = min(self.plan.frames, unit.end_frame + self.plan.look_ahead_frames)
        return (end - first) * self.content.frame_s

    def audio_s(self, index: int) -> float:
        """Return the CPU seconds of an audio unit, which is encoded from the beginning."""
        return self.plan.audio_end_s(index) * _AUDIO_S_PER_S

    def video_length_s(self, index: int) -> float:
        """Return the length of a video unit in seconds."""
        unit = self.plan.video_units[index]
        return (unit.end_frame - unit.first_frame) / RATE

    @property
    def output_bytes(self) -> float:
        """Size of all objects."""
        return self.plan.duration_s * self.content.output_bps / 8

    @property
    def samples(self) -> int:
        """Number of frames of all rungs, and of the audio's."""
        return self.plan.frames * len(self.plan.rungs) + (self.plan.audio.aac_frames if self.plan.audio else 0)

    @property
    def objects(self) -> int:
        """Number of objects: of each video unit one per rung and a sprite, of each audio unit one."""
        return len(self.plan.video_units) * (len(self.plan.rungs) + 1) + len(self.plan.audio_units)
