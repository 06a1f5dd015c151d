"""Estimated cost of encoding a plan, in CPU seconds.

An estimate for limits and time-outs, not a promise: it is right within a factor of two for what moves,
and too high for slides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputRejectedError

if TYPE_CHECKING:
    from .plan import Plan

_ENCODE_S_PER_PX = 40e-9
"""Per pixel of every rung. A film with much motion took 3.57 CPU seconds per second with the standard
ladder, 3.7 million pixels per frame (docs/performance.md); a lecture takes a third of it.
"""

_PRESET_FACTORS = {
    "ultrafast": 0.1,
    "superfast": 0.25,
    "veryfast": 0.4,
    "faster": 0.75,
    "fast": 0.85,
    "medium": 1.0,
    "slow": 1.5,
    "slower": 3.0,
    "veryslow": 5.8,
}
"""CPU time of x264's presets next to that of medium. Measured for 60 frames of 1080p in which everything moves, with
one thread and CRF 23 at a ceiling of 4.5 Mbit/s.
"""

_DECODE_S_PER_PX = 4e-9
"""Per pixel of the source: 1080p H.264 decodes at about 120 frames per second on one core (measured)."""

_AUDIO_S_PER_S = 0.02
"""Per second of each audio track: AAC encodes at 50 times real time or faster (measured)."""


_FEWER_FRAMES = "a smaller frame size or fewer frames per second"
_MORE_KEY_FRAMES = "a key frame every few seconds, since most of the time is needed to get to the places between them"


def encode_cost_s(plan: Plan) -> float:
    """Return the estimated CPU seconds for all units of the plan."""
    rungs_px = sum(rung.width_px * rung.height_px for rung in plan.rungs)
    encode_s_per_px = _ENCODE_S_PER_PX * _PRESET_FACTORS[plan.preset]
    frame_s = rungs_px * encode_s_per_px + plan.source_px * _DECODE_S_PER_PX
    encode_s = plan.frames * frame_s * bool(plan.rungs)
    return encode_s + _skipped_s(plan) + plan.duration_s * _AUDIO_S_PER_S * len(plan.audio_tracks)


def _skipped_s(plan: Plan) -> float:
    """Return the CPU seconds for frames that are decoded only to get to a unit: many if key frames are far apart."""
    return sum(unit.skipped_frames for unit in plan.video_units) * plan.source_px * _DECODE_S_PER_PX


def check_cost(plan: Plan, *, limit_cpu_h: float) -> None:
    """Raise InputRejectedError if encoding the plan would take more CPU hours than the limit."""
    cost_h = encode_cost_s(plan) / 3600
    if cost_h > limit_cpu_h:
        way_out = _MORE_KEY_FRAMES if _skipped_s(plan) / 3600 > cost_h / 2 else _FEWER_FRAMES
        raise InputRejectedError(
            code="TOO_MUCH_WORK",
            message=f"Processing this video would take about {cost_h:.0f} hours of computing; the limit is {limit_cpu_h:.0f}."
            f" Please cut it into shorter parts, or export it with {way_out}.",
        )
