"""Chapters are on the published video's clock, in order and without overlaps, whatever a file declares."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import pytest

from tasks.transcode import PROFILES, Plan, SourceInfo, make_plan
from tasks.transcode.chapters import Chapter, ChapterMark, chapters_webvtt, plan_chapters
from tests.unit.transcode.sources import make_audio, make_source


def _planned(*marks: tuple[int, int | None, str], start_s: str = "1") -> tuple[list[tuple[int, int, str]], bool]:
    chapters, has_mistimed = plan_chapters(
        [ChapterMark(*mark) for mark in marks], start_s=Fraction(start_s), duration_s=Fraction(10)
    )
    return [tuple(chapter) for chapter in chapters], has_mistimed


def test_chapters_are_shifted_and_cut_when_they_exceed_the_video() -> None:
    marks = [
        (8_000, 90_000, "C"),
        (500, 3_000, "A"),
        (3_000, 7_000, "B"),
        (0, 1_000, "before"),
        (11_000, None, "after"),
    ]
    assert _planned(*marks) == ([(0, 2_000, "A"), (2_000, 6_000, "B"), (7_000, 10_000, "C")], True)
    assert _planned(*marks[:3]) == ([(0, 2_000, "A"), (2_000, 6_000, "B"), (7_000, 10_000, "C")], False)


def test_chapter_lasts_until_the_next_one_when_its_end_is_missing_or_wrong() -> None:
    marks = [(1_000, None, "A"), (2_000, 0, "B"), (4_000, 4_000, "C"), (5_000, 9_000, "D"), (6_000, None, "E")]
    expected = [(0, 1_000, "A"), (1_000, 3_000, "B"), (3_000, 4_000, "C"), (4_000, 5_000, "D"), (5_000, 10_000, "E")]
    assert _planned(*marks) == (expected, False)


def test_first_chapter_is_kept_when_several_begin_at_the_same_time() -> None:
    marks = [(1_000, 1_000, "A"), (1_000, None, "B"), (5_000, None, "C"), (5_000, 6_000, "D")]
    assert _planned(*marks) == ([(0, 4_000, "A"), (4_000, 10_000, "C")], True)


def test_chapters_get_their_number_as_title_when_they_have_none() -> None:
    marks = [(0, 500, ""), (1_000, None, ""), (2_000, None, "Two"), (3_000, None, "")]
    assert _planned(*marks)[0] == [(0, 1_000, "Chapter 1"), (1_000, 2_000, "Two"), (2_000, 10_000, "Chapter 3")]


@pytest.mark.parametrize("mark", [(1_000, None, "All"), (1_400, 10_600, "All"), (0, 90_000, "All")])
def test_single_chapter_is_none_when_it_covers_the_whole_video(mark: tuple[int, int | None, str]) -> None:
    assert _planned(mark) == ([], False)


@pytest.mark.parametrize("mark", [(3_000, None, "A"), (1_000, 4_000, "A")])
def test_single_chapter_is_kept_when_it_is_a_part_of_the_video(mark: tuple[int, int | None, str]) -> None:
    assert len(_planned(mark)[0]) == 1


def test_times_are_rounded_to_the_nearest_millisecond_when_the_source_starts_in_between() -> None:
    assert _planned((0, 500, "A"), (500, None, "B"), start_s="1/3")[0] == [(0, 167, "A"), (167, 10_000, "B")]


def test_chapters_include_the_lead_in_when_the_audio_begins_first() -> None:
    marks = (ChapterMark(0, None, "A"), ChapterMark(2_000, None, "B"))
    # The video begins at 1 s.
    for audio, expected in ((make_audio(0, 11), [0, 2_000]), (make_audio(1, 11), [0, 1_000])):
        source = dataclasses.replace(make_source(audio=audio), chapters=marks)
        plan = make_plan(source, PROFILES["fast"], threads=1)
        assert [chapter.start_ms for chapter in plan.chapters] == expected


def test_chapters_survive_json_when_written_and_read() -> None:
    marks = (ChapterMark(1_000, 2_000, "한국어"), ChapterMark(2_500, None, ""))
    source = dataclasses.replace(make_source(), chapters=marks)
    assert SourceInfo.from_json(json.loads(json.dumps(source.to_json()))).chapters == marks
    plan = make_plan(source, PROFILES["fast"], threads=1)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.chapters[0] == Chapter(0, 1_000, "한국어")
    assert plan.warnings == ()


def test_webvtt_has_no_markup_when_titles_look_like_it() -> None:
    text = chapters_webvtt([Chapter(0, 1_000, "<b> & -->"), Chapter(1_000, 3_661_001, "NOTE")])
    assert text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n&lt;b&gt; &amp; --&gt;\n\n00:00:01.000 --> 01:01:01.001\nNOTE\n"
    )
