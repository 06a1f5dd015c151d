"""Choice of the grid's frame rate from the times of the source frames.

Declared rates only break ties.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMON_RATES = (
    *(Fraction(rate) for rate in (10, 12)),
    Fraction(25, 2),
    Fraction(15000, 1001),
    Fraction(15),
    Fraction(20),
    Fraction(24000, 1001),
    *(Fraction(rate) for rate in (24, 25)),
    Fraction(30000, 1001),
    *(Fraction(rate) for rate in (30, 48, 50)),
    Fraction(60000, 1001),
    Fraction(60),
)
"""Rates used by cameras, broadcasters and screen recorders, ascending."""

MIN_RATE = 10
"""Slower sources have frames repeated: steps of at most 0.1 s keep slides in sync with speech."""

MAX_RATE = 60
"""Apple's HLS authoring specification, clause 1.9."""

_HIGHEST_SANE_RATE = 1000
"""Some demuxers declare their time base, e.g. 90,000, as the frame rate."""

_STEADY_SHARE = 0.9
_STEADY_DEVIATION = Fraction(1, 50)
_SAME_RATE = Fraction(1, 5000)
"""Relative difference up to which rates count as equal; 29.97 and 30 differ five times as much."""
_NEAR_RATE = Fraction(3, 100)


def choose_rate(
    times: Sequence[int], time_base: Fraction, declared: Iterable[Fraction], *, max_rate: int = MAX_RATE
) -> Fraction:
    """Return the grid's frames per second for source frames at `times`.

    `times` are ascending and in units of `time_base`; `max_rate` is at least twice MIN_RATE.
    """
    plausible = [rate for rate in declared if 1 <= rate <= _HIGHEST_SANE_RATE]
    distances = [later - earlier for earlier, later in itertools.pairwise(times)]
    if not distances:
        return _within_limits(plausible[0] if plausible else Fraction(25), max_rate)
    median = sorted(distances)[len(distances) // 2]
    slack = max(Fraction(1), median * _STEADY_DEVIATION)
    steady = [distance for distance in distances if abs(distance - median) <= slack]
    if len(steady) >= _STEADY_SHARE * len(distances):
        measured, tolerance = _measure(steady, time_base)
        return _within_limits(_known_rate(measured, tolerance, plausible) or measured.limit_denominator(1001), max_rate)
    # A variable rate, or frames are missing: the longest run without a pause has the camera's rate.
    runs = itertools.groupby(distances, key=lambda distance: 2 * distance < 3 * median)
    longest = max((list(run) for no_pause, run in runs if no_pause), key=len)
    measured, tolerance = _measure(longest, time_base)
    return _within_limits(_known_rate(measured, tolerance, plausible) or _natural_rate(measured), max_rate)


def _measure(distances: Sequence[int], time_base: Fraction) -> tuple[Fraction, Fraction]:
    """Return the rate of frames at these distances, and its maximum relative error."""
    # Times are rounded to the time base; in a run of frames only the rounding at its ends remains.
    return len(distances) / (sum(distances) * time_base), max(_SAME_RATE, Fraction(2, sum(distances)))


def _known_rate(measured: Fraction, tolerance: Fraction, declared: Sequence[Fraction]) -> Fraction | None:
    """Return the first declared rate within the tolerance, else the nearest natural rate.

    Return None if no natural rate is within the tolerance either.
    """
    for rate in (*declared, *sorted(COMMON_RATES, key=lambda rate: abs(rate - measured))):
        if abs(rate / measured - 1) <= tolerance:
            return rate
    return None


def _natural_rate(measured: Fraction) -> Fraction:
    """Return the nearest natural rate if it is close, else the next higher one.

    The latter drops no frames. A measured rate above all natural rates is returned as it is.
    """
    nearest = min(COMMON_RATES, key=lambda rate: abs(rate - measured))
    if abs(nearest / measured - 1) <= _NEAR_RATE:
        return nearest
    return next((rate for rate in COMMON_RATES if rate >= measured), measured)


def _within_limits(rate: Fraction, max_rate: int) -> Fraction:
    """Return the rate, divided or multiplied by a whole number so that it is within the limits.

    The grid then has a place for every source frame, or for every 2nd (3rd, ...) one, which moves evenly. About
    60 stays 60: phones' averages lie on both sides of it, and nobody notices a frame that is dropped now and then.
    """
    rate = min(rate / math.ceil(rate / (max_rate * (1 + _NEAR_RATE))), Fraction(max_rate))
    if rate < MIN_RATE:
        rate *= math.ceil(MIN_RATE / rate)
    return rate.limit_denominator(1001)
