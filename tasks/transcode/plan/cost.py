"""Estimated cost of encoding a plan, in CPU seconds.

An estimate for limits, time-outs and the division into units, not a promise: it is right within a factor of two
(docs/performance.md), or too high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputRejectedError
from ..rejections import FEWER_FRAMES, MORE_KEY_FRAMES, rejection
from .fit import largest_px

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..source import SourceInfo
    from .ladder import Rung
    from .plan import Plan

_FILM_S_PER_PX = 40e-9
"""Per pixel of every rung. A film with much motion took 3.57 CPU seconds per second with the standard
ladder, 3.7 million pixels per frame (docs/performance.md).
"""

_COPY_S_PER_PX = 8e-9
"""The same for a frame in which x264 finds nothing to encode (measured)."""

_FILM_BYTES_PER_PX = 0.005
"""Of a source's frame, from which on it costs as much as that film: 10 kB in 1080p, 2 Mbit/s at 25 frames per second.
Films in H.264 have more; newer codecs need half of it. A lecture with a small speaker has less.
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

_STILL_S_PER_PX = 2.2e-9
"""Per pixel of a source's frame that shows nothing new: decoding it, and finding that out (measured)."""

_AUDIO_S_PER_S = 0.02
"""Per second of each audio track: AAC encodes at 50 times real time or faster (measured)."""


def video_cost_s(source: SourceInfo, rungs: Sequence[Rung], preset: str, *, frames: int, gop_frames: int) -> float:
    """Return the estimated CPU seconds for `frames` frames of the grid in all rungs, each encoded once.

    Frames that show nothing new are decoded and compared, but not encoded, except the first one of each GOP.
    """
    if not rungs:
        return 0.0
    # Packets may be more than the frames that are shown.
    changes = max(0, len(source.frame_pts) - source.still_frames)
    new_frames = min(frames, changes + frames // gop_frames)
    source_px = largest_px(source)
    new_s = sum(rung.width_px * rung.height_px for rung in rungs) * _encode_s_per_px(source, preset)
    new_s += source_px * _DECODE_S_PER_PX
    return new_frames * new_s + (frames - new_frames) * source_px * _STILL_S_PER_PX


def _encode_s_per_px(source: SourceInfo, preset: str) -> float:
    """Return the CPU seconds per pixel of a frame that shows something new, by how many bytes it needs."""
    bytes_per_px = source.new_frame_bytes / (source.width_px * source.height_px)
    motion = min(1.0, bytes_per_px / _FILM_BYTES_PER_PX) if source.new_frame_bytes else 1.0
    return (_COPY_S_PER_PX + motion * (_FILM_S_PER_PX - _COPY_S_PER_PX)) * _PRESET_FACTORS[preset]


def encode_cost_s(plan: Plan) -> float:
    """Return the estimated CPU seconds for all units of the plan."""
    audio_s = plan.duration_s * _AUDIO_S_PER_S * len(plan.audio_tracks)
    return plan.video_cost_s + _skipped_s(plan) + audio_s + (plan.speech.cost_s if plan.speech else 0.0)


def _skipped_s(plan: Plan) -> float:
    """Return the CPU seconds for frames that are decoded only to get to a unit: many if key frames are far apart."""
    return sum(unit.skipped_frames for unit in plan.video_units) * plan.source_px * _DECODE_S_PER_PX


def check_cost(plan: Plan, *, limit_cpu_h: float) -> None:
    """Raise InputRejectedError if encoding the plan would take more CPU hours than the limit."""
    # Automatic captions are an extra, for which no file is rejected.
    cost_h = (encode_cost_s(plan) - (plan.speech.cost_s if plan.speech else 0.0)) / 3600
    if cost_h > limit_cpu_h:
        way_out = MORE_KEY_FRAMES if _skipped_s(plan) / 3600 > cost_h / 2 else FEWER_FRAMES
        hours, limit_hours = round(cost_h), round(limit_cpu_h)
        raise InputRejectedError(**rejection("TOO_MUCH_WORK", hours=hours, limit_hours=limit_hours, way_out=way_out))
