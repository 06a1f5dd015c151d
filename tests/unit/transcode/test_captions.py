"""Captions keep their words and times, whatever the words are and wherever the clock starts."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import pytest

from tasks.transcode import PROFILES, Plan, SourceInfo, make_plan
from tasks.transcode.captions import CaptionSource, CaptionTrack, Cue, plan_captions, webvtt
from tests.unit.transcode.sources import make_source


def _planned(*cues: Cue, language: str = "eng", title: str = "") -> tuple[CaptionTrack, ...]:
    source = CaptionSource(language, title, cues)
    return plan_captions([source], start_s=Fraction(1), duration_s=Fraction(10))


def test_cues_are_moved_to_the_first_picture_and_cut_when_they_reach_beyond_the_video() -> None:
    (track,) = _planned(
        Cue(9_000, 20_000, "late"), Cue(0, 900, "before"), Cue(500, 2_000, "early"), Cue(11_000, 12_000, "behind")
    )
    assert track.cues == (Cue(0, 1_000, "early"), Cue(8_000, 10_000, "late"))


def test_track_is_left_out_when_no_cue_of_it_is_shown() -> None:
    assert _planned(Cue(0, 900, "before")) == ()


@pytest.mark.parametrize(
    ("language", "title", "told"),
    [
        ("eng", "", ("en", "English")),
        ("ger", "", ("de", "Deutsch")),
        ("und", "", ("", "Captions 1")),
        ("", "", ("", "Captions 1")),
        ("tlh", "", ("tlh", "Captions 1")),
        ('e"n', "", ("", "Captions 1")),
        ("kor", 'The "best"\nones', ("ko", "The 'best' ones")),
    ],
)
def test_track_is_named_for_people_when_the_source_says(language: str, title: str, told: tuple[str, str]) -> None:
    (track,) = _planned(Cue(2_000, 3_000, "a"), language=language, title=title)
    assert (track.language, track.name) == told


def test_names_differ_when_two_tracks_have_the_same_language() -> None:
    source = CaptionSource("eng", "", (Cue(2_000, 3_000, "a"),))
    tracks = plan_captions([source] * 3, start_s=Fraction(0), duration_s=Fraction(10))
    assert [track.name for track in tracks] == ["English", "English 2", "English 3"]


def test_words_stay_words_when_they_look_like_markup() -> None:
    text = webvtt(CaptionTrack("en", "English", (Cue(0, 61_001, "a --> b & <i>c\nd"),)))
    assert text == (
        "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"
        "00:00:00.000 --> 00:01:01.001\na --&gt; b &amp; &lt;i&gt;c\nd\n"
    )


def test_captions_survive_json_when_written_and_read() -> None:
    captions = (CaptionSource("eng", "", (Cue(2_000, 3_000, "한국어"),)),)
    source = dataclasses.replace(make_source(), captions=captions)
    assert SourceInfo.from_json(json.loads(json.dumps(source.to_json()))) == source
    plan = make_plan(source, PROFILES["fast"], threads=1)
    assert plan.captions[0].cues == (Cue(1_000, 2_000, "한국어"),)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
