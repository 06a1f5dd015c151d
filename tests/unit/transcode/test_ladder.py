"""The ladder fits the source: it has its shape, and is never larger than the source or than players support."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.transcode import PROFILES
from tasks.transcode.plan.ladder import MAX_FRAME_PX, choose_rungs
from tests.unit.transcode.sources import make_source

STANDARD = PROFILES["standard"]


def _sizes(width_px: int, height_px: int, **changes: object) -> list[tuple[str, int, int]]:
    source = make_source(width_px=width_px, height_px=height_px, **changes)
    return [(rung.name, rung.width_px, rung.height_px) for rung in choose_rungs(source, STANDARD, Fraction(30))]


def test_ladder_has_five_rungs_when_the_source_is_full_hd() -> None:
    assert _sizes(1920, 1080) == [
        ("1080p", 1920, 1080),
        ("720p", 1280, 720),
        ("480p", 854, 480),
        ("360p", 640, 360),
        ("240p", 426, 240),
    ]


def test_ladder_goes_by_the_shorter_side_when_the_source_is_portrait() -> None:
    assert _sizes(1080, 1920)[1] == ("720p", 720, 1280)
    assert _sizes(1920, 1080, quarter_turns=1)[1] == ("720p", 720, 1280)
    assert _sizes(1920, 1080, quarter_turns=2)[1] == ("720p", 1280, 720)


def test_ladder_starts_at_the_cap_when_the_source_is_larger() -> None:
    assert _sizes(3840, 2160)[0] == ("1080p", 1920, 1080)


def test_ladder_starts_at_the_sources_size_when_it_is_between_rungs() -> None:
    assert _sizes(1024, 576) == [("576p", 1024, 576), ("480p", 854, 480), ("360p", 640, 360), ("240p", 426, 240)]


def test_ladder_skips_a_rung_when_it_is_next_to_the_sources_size() -> None:
    assert [name for name, _, _ in _sizes(868, 488)] == ["488p", "360p", "240p"]


def test_ladder_has_one_rung_when_the_source_is_tiny() -> None:
    assert _sizes(160, 90) == [("90p", 160, 90)]


def test_rungs_have_the_display_aspect_ratio_when_pixels_are_anamorphic() -> None:
    # PAL widescreen: 720x576 stored, shown 16:9.
    assert _sizes(720, 576, sample_aspect=Fraction(64, 45))[0] == ("576p", 1024, 576)


def test_maxrate_is_higher_when_the_frame_rate_is_high() -> None:
    slow, fast = (choose_rungs(make_source(), STANDARD, Fraction(rate))[0] for rate in (30, 60))
    assert fast.maxrate_bps == 1.5 * slow.maxrate_bps


@given(
    width_px=st.integers(16, 8192),
    height_px=st.integers(16, 8192),
    sample_aspect=st.fractions(Fraction(1, 4), 4, max_denominator=64),
    quarter_turns=st.integers(0, 3),
)
def test_rungs_are_even_and_not_larger_when_the_source_has_any_size(
    width_px: int, height_px: int, sample_aspect: Fraction, quarter_turns: int
) -> None:
    source = make_source(
        width_px=width_px, height_px=height_px, sample_aspect=sample_aspect, quarter_turns=quarter_turns
    )
    rungs = choose_rungs(source, STANDARD, Fraction(30))
    shown = source.display_size_px
    shorter = [min(rung.width_px, rung.height_px) for rung in rungs]
    assert shorter == sorted(set(shorter), reverse=True)
    assert shorter[0] <= max(2, min(shown))
    for rung in rungs:
        assert rung.width_px % 2 == rung.height_px % 2 == 0
        assert min(rung.width_px, rung.height_px) >= 2
        assert rung.width_px * rung.height_px <= MAX_FRAME_PX * 1.05
        long_px, short_px = max(rung.width_px, rung.height_px), min(rung.width_px, rung.height_px)
        # Rounding the long side to an even number moves it by one pixel at most.
        assert abs(long_px - short_px * max(shown) / min(shown)) <= 1


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_profile_rungs_descend_when_listed_from_the_top(profile: object) -> None:
    rungs = PROFILES[getattr(profile, "name", "")].rungs
    assert list(rungs) == sorted(rungs, key=lambda rung: -rung.short_side_px)
    assert all(upper.maxrate_bps > lower.maxrate_bps for upper, lower in itertools.pairwise(rungs))
