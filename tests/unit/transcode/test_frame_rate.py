"""The grid has the source's frame rate if the source has a constant one."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tasks.transcode.plan.grid.frame_rate import COMMON_RATES, choose_rate

MILLISECONDS = Fraction(1, 1000)
FINE = Fraction(1, 90_000)


def _times(rate: Fraction, frames: int, time_base: Fraction) -> list[int]:
    return [round(number / rate / time_base) for number in range(frames)]


@pytest.mark.parametrize("rate", COMMON_RATES, ids=str)
@pytest.mark.parametrize("time_base", [MILLISECONDS, FINE], ids=["ms", "90 kHz"])
def test_rate_is_found_exactly_when_nothing_is_declared(rate: Fraction, time_base: Fraction) -> None:
    assert choose_rate(_times(rate, 3000, time_base), time_base, []) == rate


def test_declared_rate_breaks_the_tie_when_a_clip_is_short() -> None:
    ntsc = Fraction(30000, 1001)
    times = _times(ntsc, 30, MILLISECONDS)
    assert choose_rate(times, MILLISECONDS, [ntsc]) == ntsc
    assert choose_rate(times, MILLISECONDS, [Fraction(30)]) == 30


def test_declared_rate_is_ignored_when_the_frames_contradict_it() -> None:
    assert choose_rate(_times(Fraction(25), 500, FINE), FINE, [Fraction(90_000), Fraction(30)]) == 25


def test_uncommon_rate_is_kept_when_the_source_is_constant() -> None:
    assert choose_rate(_times(Fraction(27), 2000, FINE), FINE, []) == 27


@pytest.mark.parametrize(
    ("fast", "kept"),
    [
        ("120", 60),
        ("100", 50),
        ("240", 60),
        ("90", 45),
        ("144", 48),
        ("60.06", 60),
        ("60.02", 60),
        ("61", 60),
        ("120.05", 60),
    ],
)
def test_rate_is_divided_evenly_when_it_is_well_above_60(fast: str, kept: int) -> None:
    assert choose_rate(_times(Fraction(fast), 1000, FINE), FINE, []) == kept


@pytest.mark.parametrize(
    ("rate", "limit", "kept"),
    [
        *(("60", 30, 30), ("50", 30, 25), ("48", 30, 24), ("30", 30, 30), ("25", 30, 25), ("30.02", 30, 30)),
        *(("60", 25, 20), ("50", 25, 25), ("24", 20, 12), ("20.4", 20, 20), ("21", 20, Fraction(21, 2))),
    ],
)
def test_rate_is_divided_evenly_when_it_is_above_the_profiles_limit(
    rate: str, limit: int, kept: int | Fraction
) -> None:
    assert choose_rate(_times(Fraction(rate), 1000, FINE), FINE, [], max_rate=limit) == kept


@pytest.mark.parametrize(
    ("slow", "kept"), [(Fraction(1), 10), (Fraction(5), 10), (Fraction(1, 10), 10), (Fraction(6), 12)]
)
def test_rate_is_multiplied_when_it_is_below_10(slow: Fraction, kept: int) -> None:
    assert choose_rate(_times(slow, 50, FINE), FINE, []) == kept


def test_common_rate_is_chosen_when_a_phones_timestamps_jitter() -> None:
    rng = random.Random(7)
    times = [round((number / 30 + rng.uniform(-0.004, 0.004)) * 90_000) for number in range(900)]
    assert choose_rate(sorted(times), FINE, [Fraction(2987, 100)]) == 30


def test_common_rate_is_chosen_when_single_frames_are_missing() -> None:
    times = [time for number, time in enumerate(_times(Fraction(30), 2000, FINE)) if number % 5]
    assert choose_rate(times, FINE, [Fraction(24)]) == 30


def test_declared_or_default_rate_is_chosen_when_there_is_one_frame() -> None:
    assert choose_rate([5], FINE, [Fraction(50)]) == 50
    assert choose_rate([5], FINE, [Fraction(90_000)]) == 25
