"""The plan covers the source exactly, in whole frames, GOPs, segments and units, and is plain data."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from heapq import heapreplace
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.transcode import PROFILES, EncodeError, KeyFrame, Plan, make_plan
from tasks.transcode.plan.grid.division import first_segments
from tasks.transcode.plan.plan import segment_starts
from tests.unit.transcode.sources import make_audio, make_source

STANDARD = PROFILES["standard"]
SHORT = dataclasses.replace(STANDARD, unit_segments=1, warm_up_gops=1)


@given(
    frames=st.integers(1, 6_000),
    rate=st.sampled_from([Fraction(30), Fraction(30000, 1001), Fraction(25), Fraction(24000, 1001), Fraction(60)]),
    unit_segments=st.integers(1, 10),
    is_ramped=st.booleans(),
)
def test_units_cover_every_frame_once_when_length_and_rate_vary(
    frames: int, rate: Fraction, unit_segments: int, is_ramped: bool
) -> None:
    profile = dataclasses.replace(STANDARD, unit_segments=unit_segments, is_ramped=is_ramped)
    plan = make_plan(make_source(frames=frames, rate=rate), profile, threads=1)
    assert plan.frames == frames
    units = plan.video_units
    assert [unit.index for unit in units] == list(range(len(units)))
    assert [unit.first_frame for unit in units] == [0, *(unit.end_frame for unit in units[:-1])]
    assert units[-1].end_frame == frames
    assert all(unit.first_frame % plan.segment_frames == 0 for unit in units)
    lengths = [-(-(unit.end_frame - unit.first_frame) // plan.segment_frames) for unit in units]
    assert max(lengths) <= unit_segments + 1
    # After the ramp, no unit is much longer than another, so that no container waits long for the last one.
    ramp = len(list(takewhile(lambda pair: is_ramped and pair[0] == pair[1], zip(lengths, (2, 4, 8), strict=False))))
    rest = lengths[ramp:] or lengths[-1:]
    assert len(units) == 1 or (max(rest) - min(rest) <= 2 and min(lengths) >= 1)
    assert 0 <= plan.poster_frame < plan.frames
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(("slots", "lengths_s"), [(0, [6, 6, 12, 24, 48, 120]), (64, [6, 6, 12, 24, 48, 60])])
def test_first_units_are_short_when_the_video_is_long(slots: int, lengths_s: list[int]) -> None:
    plan = make_plan(make_source(frames=3600 * 30), STANDARD, threads=1, slots=slots)
    lengths = [(unit.end_frame - unit.first_frame) // 30 for unit in plan.video_units]
    assert lengths[:6] == lengths_s
    assert max(lengths) == lengths_s[-1]


@pytest.mark.parametrize(
    ("seconds", "new_s", "lengths_s"),
    [
        (120, 120, [12, 24, 84]),
        (120, 2, [120]),
        (40, 40, [12, 28]),
        (20, 20, [20]),
        (600, 10, [48, 114, 108, 114, 108, 108]),
    ],
)
def test_first_units_are_long_when_they_are_done_soon_anyway(seconds: int, new_s: int, lengths_s: list[int]) -> None:
    source = make_source(frames=seconds * 30, still_frames=(seconds - new_s) * 30, new_frame_bytes=50_000)
    plan = make_plan(source, STANDARD, threads=1)
    assert [(unit.end_frame - unit.first_frame) // 30 for unit in plan.video_units] == lengths_s


@pytest.mark.few(5)
@pytest.mark.parametrize("slots", [4, 8, 16, 64, 128])
@pytest.mark.parametrize("hours", [1, 3])
def test_slots_end_together_when_several_containers_work(slots: int, hours: int) -> None:
    plan = make_plan(make_source(frames=hours * 3600 * 30), STANDARD, threads=1, slots=slots)
    extra = plan.warm_up_frames + plan.look_ahead_frames
    lengths = [unit.end_frame - unit.first_frame for unit in plan.video_units]
    assert max(lengths) <= STANDARD.unit_segments * plan.segment_frames
    free_at = [0] * slots
    for length in lengths:
        heapreplace(free_at, free_at[0] + length + extra)
    # No unit is shorter than a minute, so that an hour is too little for 128 slots.
    least = max(plan.frames / slots, STANDARD.shared_unit_segments * plan.segment_frames)
    assert max(free_at) <= 1.25 * (least + extra)


@pytest.mark.parametrize("slots", [4, 16, 32, 64, 128])
@pytest.mark.parametrize("segments", [300, 600, 1200, 1800])
def test_short_units_cost_at_most_8_percent_when_several_containers_work(slots: int, segments: int) -> None:
    extra_segments = 220 / 180  # 3 GOPs of 60 frames and 40 look-ahead frames, in segments of 180

    def extra_share(slots: int) -> float:
        cost_s = 20.0 * segments
        units = len(first_segments(segments, STANDARD, slots=slots, extra_segments=extra_segments, cost_s=cost_s))
        return units * extra_segments / (segments + units * extra_segments)

    assert extra_share(slots) - extra_share(0) <= 0.08


def test_last_slide_is_shown_when_it_has_hardly_any_duration() -> None:
    slides = make_source(frames=3, rate=Fraction(1, 5), declared_rates=())
    slides = dataclasses.replace(slides, end_pts=slides.frame_pts[-1] + 3600)
    plan = make_plan(slides, STANDARD, threads=1)
    assert (plan.rate, plan.last_source_frame, plan.frames) == (10, 100, 101)


@pytest.mark.parametrize(("lead_s", "lead_in_frames"), [(Fraction(1, 2), 0), (Fraction(51, 100), 16), (3, 90)])
def test_first_frame_is_repeated_when_the_audio_starts_clearly_earlier(lead_s: Fraction, lead_in_frames: int) -> None:
    source = make_source(audio=make_audio(1 - Fraction(lead_s), 11))
    plan = make_plan(source, STANDARD, threads=1)
    assert (plan.first_source_frame, plan.frames) == (lead_in_frames, 300 + lead_in_frames)
    assert plan.audio is not None
    assert plan.audio.start_s == 1 - Fraction(lead_in_frames, 30)


@pytest.mark.parametrize(
    ("rate", "gop_frames", "timescale", "frame_ticks"),
    [
        (Fraction(30), 60, 15360, 512),
        (Fraction(25), 50, 12800, 512),
        (Fraction(30000, 1001), 60, 30000, 1001),
        (Fraction(24000, 1001), 48, 24000, 1001),
    ],
    ids=str,
)
def test_grid_has_whole_ticks_when_the_rate_varies(
    rate: Fraction, gop_frames: int, timescale: int, frame_ticks: int
) -> None:
    plan = make_plan(make_source(rate=rate), STANDARD, threads=1)
    assert (plan.gop_frames, plan.segment_frames) == (gop_frames, 3 * gop_frames)
    assert (plan.timescale, plan.frame_ticks) == (timescale, frame_ticks)
    assert Fraction(frame_ticks, timescale) == 1 / rate


def test_plan_is_small_when_the_video_lasts_3_hours() -> None:
    plan = make_plan(make_source(frames=3 * 3600 * 30), STANDARD, threads=1)
    assert len(plan.video_units) == 5 + 90
    assert len(make_plan(make_source(frames=3 * 3600 * 30), STANDARD, threads=1, slots=64).video_units) <= 3 + 224
    # It is stored in the database, and read by every container.
    assert len(json.dumps(plan.to_json())) < 50_000


def test_unit_reads_from_the_key_frame_before_its_warm_up_when_it_seeks() -> None:
    plan = make_plan(make_source(frames=720, key_every=50), SHORT, threads=1)
    # Unit 2 begins at frame 360, its warm-up at 300: that frame is a key frame, at 1 + 10 s, and
    # its dts is 3,000 ticks less.
    assert plan.video_units[2].seeks_s == ("10.966667", "9.300000", None)
    assert plan.video_units[0].seeks_s == (None,)


def test_unit_reads_from_before_a_gap_when_its_first_frame_is_repeated() -> None:
    source = make_source(frames=720, key_every=30)
    times = tuple(time for number, time in enumerate(source.frame_pts) if not 200 < number < 500)
    keys = tuple(key for key in source.keys if key.pts in times)
    plan = make_plan(dataclasses.replace(source, frame_pts=times, keys=keys), SHORT, threads=1)
    # Grid frame 300 shows source frame 200, the last one before the gap; its key frame is frame
    # 180, at 7 s.
    assert plan.video_units[2].seeks_s[0] == "6.966667"


def test_unit_reads_from_the_previous_key_frame_when_a_gop_is_open() -> None:
    source = make_source(frames=720, key_every=300)
    plan = make_plan(source, SHORT, threads=1)
    assert plan.video_units[2].seeks_s[0] == "10.966667"
    # An open GOP: the key frame comes first in the file, but frame 300 is shown before it.
    keys = (*source.keys[:1], KeyFrame(source.frame_pts[302], source.frame_pts[302] - 9000))
    plan = make_plan(dataclasses.replace(source, keys=keys), SHORT, threads=1)
    assert plan.video_units[2].seeks_s == (None,)


@pytest.mark.parametrize(
    ("end_s", "seconds"), [(11, 10), (Fraction(113, 10), 10), (15, 14), (5, 10)], ids=["same", "a bit", "long", "short"]
)
def test_length_is_that_of_the_video_when_the_audio_is_not_much_longer(end_s: Fraction | int, seconds: int) -> None:
    plan = make_plan(make_source(frames=300, audio=make_audio(1, end_s)), STANDARD, threads=1)
    assert plan.frames == seconds * 30
    assert plan.last_source_frame == 299
    assert plan.audio is not None
    # Never shorter than the video: a player whose audio ends first does not reach the end.
    assert 0 <= plan.audio.aac_frames - seconds * 48_000 / 1024 < 1


def test_audio_is_cut_near_segment_boundaries_when_rates_do_not_divide() -> None:
    source = make_source(frames=3000, rate=Fraction(30000, 1001), audio=make_audio(1, 102))
    plan = make_plan(source, STANDARD, threads=1)
    assert plan.audio is not None
    assert len(plan.audio.cuts) == -(-plan.frames // plan.segment_frames)
    for index, cut in enumerate(plan.audio.cuts):
        boundary_s = index * plan.segment_frames / plan.rate
        assert abs(Fraction(cut * 1024, 48_000) - boundary_s) <= Fraction(512, 48_000)


def test_plan_is_the_same_when_made_twice() -> None:
    source = make_source(audio=make_audio(1, 11))
    assert make_plan(source, STANDARD, threads=2) == make_plan(source, STANDARD, threads=2)
    assert make_plan(source, STANDARD, threads=2) != make_plan(source, STANDARD, threads=1)


def test_plan_is_rejected_when_it_has_another_version() -> None:
    form = make_plan(make_source(), STANDARD, threads=1).to_json() | {"version": 999}
    with pytest.raises(EncodeError, match="PLAN_VERSION"):
        Plan.from_json(form)


@pytest.mark.parametrize(
    ("tag", "height_px", "expected"),
    [
        ("bt709", 480, "bt709"),
        ("smpte170m", 1080, "smpte170m"),
        ("unknown", 1080, "bt709"),
        ("unknown", 480, "smpte170m"),
    ],
)
def test_colour_matrix_is_that_of_players_when_the_file_has_none(tag: str, height_px: int, expected: str) -> None:
    source = make_source(matrix=tag, height_px=height_px, width_px=height_px * 16 // 9)
    assert make_plan(source, STANDARD, threads=1).matrix == expected


@pytest.mark.parametrize(
    ("end_frame", "starts"), [(360, [0, 180]), (362, [0, 180]), (374, [0, 180]), (375, [0, 180, 360]), (2, [0])]
)
def test_remainder_joins_the_previous_segment_when_it_is_short(end_frame: int, starts: list[int]) -> None:
    assert segment_starts(0, end_frame, segment_frames=180, rate=Fraction(30)) == starts
