"""Thumbnails have a constant interval over the whole video, and the map contains every tile once."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from tasks.transcode import Rung
from tasks.transcode.captions import webvtt_time
from tasks.transcode.plan.thumbnails import ThumbnailPlan, make_sprite, plan_thumbnails, thumbnail_map

EVERY_300 = ThumbnailPlan(300, 160, 90)


@pytest.mark.parametrize(
    ("size_px", "thumbnail_px"),
    [
        ((426, 240), (160, 90)),
        ((240, 426), (90, 160)),
        ((240, 240), (160, 160)),
        ((64, 36), (64, 36)),
        ((640, 2), (160, 2)),
    ],
    ids=["landscape", "portrait", "square", "not enlarged", "not without height"],
)
def test_thumbnail_has_the_rungs_aspect_ratio_when_sizes_vary(
    size_px: tuple[int, int], thumbnail_px: tuple[int, int]
) -> None:
    planned = plan_thumbnails(Rung("r", *size_px, 23, 1), interval_gops=5, gop_frames=60)
    assert (planned.width_px, planned.height_px) == thumbnail_px
    assert planned.interval_frames == 300


def test_thumbnails_are_in_one_unit_each_when_boundaries_fall_between() -> None:
    boundaries = [0, 300, 500, 590, 1700, 1801]
    sprites = [make_sprite(EVERY_300, first, end) for first, end in itertools.pairwise(boundaries)]
    assert [sprite and sprite.frames for sprite in sprites] == [(0,), (300,), None, (600, 900, 1200, 1500), (1800,)]


def test_map_places_tiles_left_to_right_and_down_when_a_row_is_full() -> None:
    sprite = make_sprite(EVERY_300, 0, 1900)
    assert sprite is not None
    assert (sprite.columns, sprite.rows) == (5, 2)
    lines = thumbnail_map([("a/s.jpg", sprite)], rate=Fraction(30), end_frame=1890).splitlines()
    assert lines[:4] == ["WEBVTT", "", "00:00:00.000 --> 00:00:10.000", "a/s.jpg#xywh=0,0,160,90"]
    assert lines[-2:] == ["00:01:00.000 --> 00:01:03.000", "a/s.jpg#xywh=160,90,160,90"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (Fraction(0), "00:00:00.000"),
        (Fraction(7199_9996, 10_000), "02:00:00.000"),
        (Fraction(360_001), "100:00:01.000"),
    ],
)
def test_time_is_rounded_to_milliseconds_when_written(seconds: Fraction, text: str) -> None:
    assert webvtt_time(seconds) == text
