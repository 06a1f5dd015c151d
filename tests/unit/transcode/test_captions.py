"""Captions keep their text and times, whatever the text is and wherever the clock starts."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import pytest

from tasks.transcode import PROFILES, Plan, SourceInfo, make_plan
from tasks.transcode.captions import FORCED, SDH, CaptionSource, CaptionTrack, Cue, plan_captions, webvtt
from tests.unit.transcode.sources import make_source


def _planned(*cues: Cue, language: str = "eng", title: str = "") -> tuple[CaptionTrack, ...]:
    source = CaptionSource(language, title, cues)
    return plan_captions([source], start_s=Fraction(1), duration_s=Fraction(10))


def test_cues_are_shifted_and_cut_when_they_exceed_the_video() -> None:
    (track,) = _planned(
        Cue(9_000, 20_000, "late"), Cue(0, 900, "before"), Cue(500, 2_000, "early"), Cue(11_000, 12_000, "behind")
    )
    assert track.cues == (Cue(0, 1_000, "early"), Cue(8_000, 10_000, "late"))


def test_caption_track_is_omitted_when_none_of_its_cues_is_shown() -> None:
    assert _planned(Cue(0, 900, "before")) == ()


@pytest.mark.parametrize(
    ("language", "title", "expected"),
    [
        ("eng", "", ("en", "English")),
        ("ger", "", ("de", "Deutsch")),
        ("und", "", ("", "Captions 1")),
        ("", "", ("", "Captions 1")),
        ("tlh", "", ("tlh", "Captions 1")),
        ('e"n', "", ("", "Captions 1")),
        ("pt-BR", "", ("pt-BR", "Português (Brasil)")),
        ("zh-Hant", "", ("zh-Hant", "中文 (繁體)")),
        ("sr-Latn", "", ("sr-Latn", "Srpski (latinica)")),
        ("fr", "", ("fr", "Français")),
        ("per", "", ("fa", "فارسی")),
        ("ice", "", ("is", "Íslenska")),
        ("cat", "", ("ca", "Català")),
        ("hrv", "", ("hr", "Hrvatski")),
        ("en-x-lecture", "", ("en", "English")),
        ("mul", "", ("", "Captions 1")),
        ("x-private", "", ("", "Captions 1")),
        ("kor", 'The "best"\nones', ("ko", "The 'best' ones")),
    ],
)
def test_caption_track_has_a_readable_name_when_source_tags_vary(
    language: str, title: str, expected: tuple[str, str]
) -> None:
    (track,) = _planned(Cue(2_000, 3_000, "a"), language=language, title=title)
    assert (track.language, track.name) == expected


def test_caption_track_names_differ_when_languages_are_the_same() -> None:
    source = CaptionSource("eng", "", (Cue(2_000, 3_000, "a"),))
    tracks = plan_captions([source] * 3, start_s=Fraction(0), duration_s=Fraction(10))
    assert [track.name for track in tracks] == ["English", "English 2", "English 3"]


def test_forced_and_sdh_tracks_are_named_when_languages_are_the_same() -> None:
    cues = (Cue(2_000, 3_000, "a"),)
    sources = [CaptionSource("eng", title, cues, purpose) for title, purpose in (("", FORCED), ("", ""), ("", SDH))]
    tracks = plan_captions(sources, start_s=Fraction(0), duration_s=Fraction(10))
    assert [(track.name, track.purpose) for track in tracks] == [
        ("English (forced)", FORCED),
        ("English", ""),
        ("English (SDH)", SDH),
    ]


def test_caption_text_is_escaped_when_it_looks_like_markup() -> None:
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
