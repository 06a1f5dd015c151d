"""The estimated cost of an encode, and the limit above which a source is rejected."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from tasks.conf import BridgeSettings
from tasks.transcode import PROFILES, InputRejectedError, Plan, check_cost, encode_cost_s, make_plan
from tasks.transcode.encode.video import _limits
from tasks.transcode.plan.profile import LOOK_AHEAD_FRAMES
from tests.unit.transcode.sources import make_audio, make_source

LIMIT_CPU_H = BridgeSettings().max_encode_cpu_h


def plan_of(*, duration_s: int, rate: int, key_every_s: int = 10, **changes: object) -> Plan:
    source = make_source(frames=duration_s * rate, rate=rate, key_every=key_every_s * rate, **changes)
    return make_plan(source, PROFILES["standard"], threads=1)


def test_cost_is_within_a_factor_of_two_when_it_was_measured() -> None:
    """docs/performance.md: a film at 25 frames per second took 3.57 CPU seconds per second."""
    cost_s = encode_cost_s(plan_of(duration_s=60, rate=25)) / 60
    assert 3.57 / 2 < cost_s < 3.57 * 2


@pytest.mark.parametrize(
    ("frames", "still_frames", "new_frame_bytes", "measured_s"),
    [
        pytest.param(1200, 1187, 46_000, 11, id="slides, exported with B-frames"),
        pytest.param(1200, 1129, 26_000, 21, id="a screencast"),
        pytest.param(1200, 0, 4_591, 42, id="slides with a film in the corner"),
    ],
)
def test_cost_is_at_most_three_times_as_high_when_little_moves(
    frames: int, still_frames: int, new_frame_bytes: int, measured_s: float
) -> None:
    source = make_source(frames=frames, still_frames=still_frames, new_frame_bytes=new_frame_bytes)
    cost_s = encode_cost_s(make_plan(source, PROFILES["standard"], threads=1))
    assert measured_s / 2 < cost_s < measured_s * 3


def test_every_frame_is_taken_for_new_when_packet_sizes_are_unknown() -> None:
    unknown, moving = (make_source(frames=1200, new_frame_bytes=size) for size in (0, 500_000))
    costs_s = {encode_cost_s(make_plan(source, PROFILES["standard"], threads=1)) for source in (unknown, moving)}
    assert len(costs_s) == 1


def test_cost_follows_the_preset_when_the_profile_has_another_one() -> None:
    source = make_source(frames=1500, rate=25)
    costs_s = [
        encode_cost_s(make_plan(source, dataclasses.replace(PROFILES["standard"], preset=preset), threads=1))
        for preset in LOOK_AHEAD_FRAMES
    ]
    assert costs_s == sorted(set(costs_s))
    medium_s, slower_s = (costs_s[list(LOOK_AHEAD_FRAMES).index(preset)] for preset in ("medium", "slower"))
    assert slower_s / medium_s == pytest.approx(3, rel=0.1)


def test_cost_is_small_when_there_is_only_audio() -> None:
    hour = make_audio(0, 3600)
    source = make_source(audio=hour, first_pts=0, end_pts=3600 * 90_000, frame_pts=(), keys=(), width_px=0, height_px=0)
    plan = make_plan(source, PROFILES["standard"], threads=1)
    assert encode_cost_s(plan) == pytest.approx(72, rel=0.01)


def test_longest_videos_are_accepted_when_their_frames_are_large() -> None:
    per_minute_s = encode_cost_s(plan_of(duration_s=60, rate=60, width_px=7680, height_px=4320))
    assert per_minute_s * 60 * 12 / 3600 < LIMIT_CPU_H


def test_source_is_rejected_with_the_way_out_when_encoding_would_take_too_long() -> None:
    plan = plan_of(duration_s=60, rate=60)
    hours = Fraction(encode_cost_s(plan)) / 3600
    check_cost(plan, limit_cpu_h=float(hours))
    with pytest.raises(InputRejectedError, match="cut it into shorter parts") as caught:
        check_cost(plan, limit_cpu_h=float(hours) * 0.99)
    assert caught.value.code == "TOO_MUCH_WORK"


def test_decoding_up_to_each_unit_is_limited_and_estimated_when_there_is_one_key_frame() -> None:
    hours, rate = 3, 30
    usual, one_key = (plan_of(duration_s=hours * 3600, rate=rate, key_every_s=every_s) for every_s in (10, 10**6))
    # Each unit decodes half of the video on average, at 120 frames per second.
    units = len(one_key.video_units) - 2  # the first two begin near the key frame
    extra_h = (encode_cost_s(one_key) - encode_cost_s(usual)) / 3600
    assert extra_h == pytest.approx(units * hours / 2 * rate / 120, rel=0.05)
    decode_s = hours * 3600 * rate / 120
    near, far = usual.video_units[-1], one_key.video_units[-1]
    assert _limits(one_key, far, None).cpu_s > 10 * decode_s > 2 * _limits(usual, near, near.seeks_s[0]).cpu_s


def test_source_is_rejected_for_its_key_frames_when_most_of_the_time_is_lost_between_them() -> None:
    with pytest.raises(InputRejectedError, match="a key frame every few seconds"):
        check_cost(plan_of(duration_s=12 * 3600, rate=5, key_every_s=10**6), limit_cpu_h=LIMIT_CPU_H / 6)
    check_cost(plan_of(duration_s=12 * 3600, rate=5), limit_cpu_h=LIMIT_CPU_H / 6)
