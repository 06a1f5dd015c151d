"""Chooses the picture rate of the grid from the times of the pictures; what the file declares only breaks ties."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NATURAL_RATES = (
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
"""Rates in which cameras, broadcasters and screen recorders work, ascending."""

LOWEST_RATE = 10
"""Slower sources get each picture several times: a time grid of at most 0.1 s keeps slides in step with the voice."""

HIGHEST_RATE = 60
"""Apple's authoring specification for HLS, clause 1.9."""

_HIGHEST_SANE_RATE = 1000
"""Some demuxers declare their time base, e.g. 90,000, as the rate."""

_STEADY_SHARE = 0.9
_STEADY_DEVIATION = Fraction(1, 50)
_SAME_RATE = Fraction(1, 5000)
"""Rates this near to each other are taken for one; 29.97 and 30 differ five times as much."""
_NEAR_RATE = Fraction(3, 100)


def choose_rate(times: Sequence[int], time_base: Fraction, declared: Iterable[Fraction]) -> Fraction:
    """Return the grid's pictures per second for pictures at `times` (ascending, in `time_base` seconds)."""
    sane = [rate for rate in declared if 1 <= rate <= _HIGHEST_SANE_RATE]
    distances = [later - earlier for earlier, later in itertools.pairwise(times)]
    if not distances:
        return _within_limits(sane[0] if sane else Fraction(25))
    usual = sorted(distances)[len(distances) // 2]
    slack = max(Fraction(1), usual * _STEADY_DEVIATION)
    steady = [distance for distance in distances if abs(distance - usual) <= slack]
    if len(steady) >= _STEADY_SHARE * len(distances):
        measured, tolerance = _measure(steady, time_base)
        return _within_limits(_known_rate(measured, tolerance, sane) or measured.limit_denominator(1001))
    # Pictures waver or are missing: the longest run without a pause tells the camera's rate.
    runs = itertools.groupby(distances, key=lambda distance: 2 * distance < 3 * usual)
    longest = max((list(run) for no_pause, run in runs if no_pause), key=len)
    measured, tolerance = _measure(longest, time_base)
    return _within_limits(_known_rate(measured, tolerance, sane) or _natural_rate(measured))


def _measure(distances: Sequence[int], time_base: Fraction) -> tuple[Fraction, Fraction]:
    """Return the rate of pictures at these distances, and by what share it may be wrong."""
    # Times are rounded to the time base; over a row of pictures only the rounding of its two ends remains.
    return len(distances) / (sum(distances) * time_base), max(_SAME_RATE, Fraction(2, sum(distances)))


def _known_rate(measured: Fraction, tolerance: Fraction, declared: Sequence[Fraction]) -> Fraction | None:
    """Return the declared rate that the measured one may be, else the nearest such natural rate."""
    for rate in (*declared, *sorted(NATURAL_RATES, key=lambda rate: abs(rate - measured))):
        if abs(rate / measured - 1) <= tolerance:
            return rate
    return None


def _natural_rate(measured: Fraction) -> Fraction:
    """Return the natural rate close by, or the first that drops no picture at the measured rate."""
    nearest = min(NATURAL_RATES, key=lambda rate: abs(rate - measured))
    if abs(nearest / measured - 1) <= _NEAR_RATE:
        return nearest
    return next((rate for rate in NATURAL_RATES if rate >= measured), measured)


def _within_limits(rate: Fraction) -> Fraction:
    """Halve or multiply by whole numbers, so that every picture keeps a place on the grid, or every second one does."""
    while rate > HIGHEST_RATE * (1 + _SAME_RATE):
        rate /= 2
    if rate < LOWEST_RATE:
        rate *= math.ceil(LOWEST_RATE / rate)
    return rate.limit_denominator(1001)
