"""The division of a video into units: short ones first, and so that all slots end together. Pure."""

from __future__ import annotations

from heapq import heapreplace
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..profile import Profile

_RAMP_SEGMENTS = (2, 4, 8)
"""Lengths of the first units."""

_LONG_RAMP_SEGMENTS = (1, 1, *_RAMP_SEGMENTS)
"""The same for videos of at least `_LONG_SEGMENTS`, which show their first segment in half of that time. In a shorter
video, the warm-up and look-ahead frames of two more units would cost more than 2 %.
"""

_LONG_SEGMENTS = 120

_SOON_S = 120
"""A video that takes fewer CPU seconds is not divided for its beginning's sake. Short units would make it a tenth to
a quarter more work."""

_SHORTEST_UNIT_S = 10
"""CPU seconds of each unit of the ramp, at least: of slides, half a minute of video is done in that time."""

_LEAST_SEGMENTS = 2
"""Length of the last units, at least: below it, warm-up and look-ahead frames cost more than half of a unit."""

_EXTRA_SHARE = 0.08
"""Most of the CPU time that shorter units may cost, compared with the longest ones."""

_SPREAD = (1.0, 0.85, 1.1, 0.95, 1.2, 0.9, 1.05)
"""Units of one length do not take the same time. Without this, the best schedule would be one in which
all slots end together, but which takes another round as soon as one of them is late.
"""


def first_segments(segments: int, profile: Profile, *, slots: int, extra_segments: float, cost_s: float) -> list[int]:
    """Return the first segment of each unit, so that `slots` slots are done soonest.

    `cost_s` is the estimated CPU time of all segments. Long units cost less, because each has `extra_segments` of
    warm-up and look-ahead frames. Short ones leave fewer slots without work at the end. So either all have one
    length, or they get shorter towards the end. Of equally good lengths the longest is taken.
    """
    ramp = _ramp_lengths(segments, cost_s) if profile.is_ramped else ()
    longest, shortest = profile.unit_segments, min(profile.unit_segments, profile.shared_unit_segments)
    if not slots:
        return _divided(segments, longest, ramp)
    ways = [_divided(segments, length, ramp) for length in range(longest, shortest - 1, -1)]
    ways += [_tapered(segments, profile, least, slots, ramp) for least in range(shortest, _LEAST_SEGMENTS - 1, -1)]
    allowed_share = _extra_share(ways[0], segments, extra_segments) + _EXTRA_SHARE
    affordable = [firsts for firsts in ways if _extra_share(firsts, segments, extra_segments) <= allowed_share]
    return min(affordable, key=lambda firsts: _needed(firsts, segments, slots=slots, extra_segments=extra_segments))


def _ramp_lengths(segments: int, cost_s: float) -> tuple[int, ...]:
    if cost_s < _SOON_S:
        return ()
    lengths = _LONG_RAMP_SEGMENTS if segments >= _LONG_SEGMENTS else _RAMP_SEGMENTS
    return tuple(length for length in lengths if length * cost_s / segments >= _SHORTEST_UNIT_S)


def _extra_share(firsts: list[int], segments: int, extra_segments: float) -> float:
    """Return the share of the CPU time that warm-up and look-ahead frames take."""
    extra = len(firsts) * extra_segments
    return extra / (segments + extra)


def _needed(firsts: list[int], segments: int, *, slots: int, extra_segments: float) -> float:
    """Return when the last unit is done if each slot takes the next one, in the time that a segment takes."""
    free_at = [0.0] * slots
    for first, end, factor in zip(firsts, [*firsts[1:], segments], cycle(_SPREAD), strict=False):
        heapreplace(free_at, free_at[0] + (end - first + extra_segments) * factor)
    return max(free_at)


def _tapered(segments: int, profile: Profile, least: int, slots: int, ramp: tuple[int, ...]) -> list[int]:
    """Return the first segments of units that each have a slot's share of what is left, at least `least`."""
    firsts = _ramp(segments, profile.unit_segments, ramp)
    while (left := segments - firsts[-1]) >= 2 * least:
        length = min(profile.unit_segments, left - least, max(least, -(-left // slots)))
        firsts.append(firsts[-1] + length)
    return firsts


def _divided(segments: int, unit_segments: int, ramp: tuple[int, ...]) -> list[int]:
    """Return the first segments of the units of the ramp, and then of the fewest possible of equal length.

    Equal is to within a segment.
    """
    firsts = _ramp(segments, unit_segments, ramp)
    rest = segments - firsts[-1]
    count = -(-rest // unit_segments)
    firsts[-1:] = [firsts[-1] - (-rest * index // count) for index in range(count)]
    return firsts


def _ramp(segments: int, unit_segments: int, ramp: tuple[int, ...]) -> list[int]:
    """Return the first segment of each unit of the ramp, and of what follows: a unit that is as long at least."""
    firsts = [0]
    for length in ramp:
        if length >= unit_segments or segments - firsts[-1] < 2 * length:
            break
        firsts.append(firsts[-1] + length)
    return firsts
