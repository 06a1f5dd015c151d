"""Mutations of what is left out of a still: frames that are always kept, blind columns, how long frames last."""

from __future__ import annotations

from tests.mutations.patch import Patch

_STILLS = "tests/media/test_still_frames.py"
_FILTERS = "tasks/transcode/encode/filters.py"
_FRAGMENTS = "tasks/transcode/mp4/fragments.py"

STILL_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="the first frame of a GOP may be left out",
        promise=2,
        file=_FILTERS,
        old='rf"mod(floor(n/{plan.gop_frames})\\,2)"',
        new='"0"',
        tests=(f"{_STILLS}::test_still_costs_a_frame_per_gop_when_the_source_wobbles",),
    ),
    Patch(
        name="the last frame may be left out",
        promise=2,
        file=_FILTERS,
        old=', rf"gte(n\\,{last - first})"]',
        new="]",
        tests=(f"{_STILLS}::test_still_costs_a_frame_per_gop_when_the_source_wobbles",),
    ),
    Patch(
        name="the poster's frame may be left out",
        promise=2,
        file=_FILTERS,
        old="    if first < plan.poster_frame < last:\n",
        new="    if plan.poster_frame < 0:\n",
        tests=(f"{_STILLS}::test_poster_is_there_when_its_frame_shows_nothing_new",),
        long=True,
    ),
    Patch(
        name="the left edge is never compared",
        promise=2,
        file=_FILTERS,
        old='            f"{_NEWS}:max={max(1, plan.segment_frames // _FRAMES_OF_A_SEGMENT - 1)}",\n',
        new=(
            '            f"crop=iw-{_MARGIN_PX}:ih:{_MARGIN_PX}:0",\n'
            '            f"{_NEWS}:max={max(1, plan.segment_frames // _FRAMES_OF_A_SEGMENT - 1)}",\n'
            '            f"pad=iw+{_MARGIN_PX}:ih:{_MARGIN_PX}:0",\n'
        ),
        tests=(f"{_STILLS}::test_small_change_is_shown_within_100_ms_when_the_rest_is_still",),
    ),
    Patch(
        name="faint changes are left out",
        promise=2,
        file=_FILTERS,
        old='"mpdecimate=hi=64:lo=32:frac=0.01"',
        new='"mpdecimate"',
        tests=(f"{_STILLS}::test_small_change_is_shown_within_100_ms_when_the_rest_is_still",),
    ),
    Patch(
        name="exact copies alone are left out",
        promise=2,
        file=_FILTERS,
        old='"mpdecimate=hi=64:lo=32:frac=0.01"',
        new='"mpdecimate=hi=0:lo=0:frac=0"',
        tests=(f"{_STILLS}::test_still_costs_a_frame_per_gop_when_the_source_wobbles",),
    ),
    Patch(
        name="frames last until the next one in the order of decoding",
        promise=2,
        file=_FRAGMENTS,
        old="Sample(size_bytes, lasting[at], ",
        new="Sample(size_bytes, min(lasting.values()), ",
        tests=(f"{_STILLS}::test_each_slide_is_shown_at_its_time_when_there_are_many",),
        long=True,
    ),
    Patch(
        name="units keep the edit lists of their own first frames",
        promise=2,
        file=_FRAGMENTS,
        old="    init = set_shift(init, shift_ticks)\n",
        new="",
        tests=(f"{_STILLS}::test_units_have_one_init_segment_when_some_begin_with_motion",),
    ),
    Patch(
        name="what is kept at the end depends on where a unit begins",
        promise=2,
        file=_FILTERS,
        old="mod(n+{first}",
        new="mod(n",
        tests=(f"{_STILLS}::test_seams_match_when_the_last_second_begins_next_to_one",),
    ),
)
