"""Speech in the plan, the text that becomes of it, and whether a machine can transcribe."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tasks.transcode import PROFILES, Plan, check_cost, encode_cost_s, make_plan, profile_from_json, profile_to_json
from tasks.transcode.captions import CaptionSource, Cue
from tasks.transcode.plan.speech import has_captions
from tasks.transcode.speech.faults import NO_ENGINE, NO_WEIGHTS
from tasks.transcode.speech.port import WHISPER, Engine, engine_problem
from tasks.transcode.speech.text import captions_of
from tests.speech_engines import SCRIPTED
from tests.unit.transcode.sources import make_audio, make_source

PROFILE = replace(PROFILES["fast"], automatic_captions=True)
MINUTE_S = 60


def plan_of(*, minutes: int = 50, languages: tuple[str, ...] = ("en",), captions: Any = (), **options: Any) -> Plan:
    seconds = minutes * MINUTE_S
    source = make_source(frames=seconds, rate=1, audio=make_audio(1, 1 + seconds, *languages), captions=captions)
    return make_plan(source, PROFILE, threads=1, **{"speech_cpu_s_per_s": 0.5, **options})


def captions_in(language: str, purpose: str = "") -> CaptionSource:
    return CaptionSource(language, "", (Cue(2000, 3000, "Hello"),), purpose)


def test_parts_cover_the_default_track_without_gaps_when_the_plan_was_stored() -> None:
    plan = Plan.from_json(json.loads(json.dumps(plan_of(languages=("de", "en")).to_json())))
    assert plan.speech is not None
    assert (plan.speech.track, plan.speech.language) == (0, "de")
    parts = [plan.speech.part(index, frames=plan.frames) for index in range(len(plan.speech.starts))]
    assert len(parts) == 5
    assert [end - first for first, end in parts] == [plan.frames // 5] * 5
    assert [first for first, _ in parts[1:]] == [end for _, end in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, plan.frames)


def test_short_video_has_one_part_when_it_is_planned() -> None:
    plan = plan_of(minutes=1)
    assert plan.speech is not None
    assert plan.speech.starts == (0,)


@pytest.mark.parametrize(
    ("captions", "is_planned"),
    [
        ((), True),
        ((captions_in("fr"),), True),
        ((captions_in("eng", "forced"),), True),
        ((captions_in("en-GB"),), False),
        ((captions_in("eng", "sdh"),), False),
        ((captions_in(""),), False),
    ],
)
def test_nothing_is_transcribed_when_the_file_has_captions_in_the_spoken_language(
    captions: tuple[CaptionSource, ...], *, is_planned: bool
) -> None:
    assert (plan_of(languages=("en-US",), captions=captions).speech is not None) is is_planned


def test_captions_count_when_the_language_was_only_found_out_by_the_engine() -> None:
    plan = plan_of(languages=("",), captions=(captions_in("en-GB"),))
    assert plan.speech is not None
    assert has_captions(plan.captions, "en")
    assert not has_captions(plan.captions, "de")


def test_nothing_is_transcribed_when_there_is_no_audio_or_nobody_asks() -> None:
    assert make_plan(make_source(), PROFILE, threads=1, speech_cpu_s_per_s=1).speech is None
    assert plan_of(speech_cpu_s_per_s=None).speech is None


def test_media_are_planned_as_without_speech_when_a_profile_asks_for_it() -> None:
    assert replace(plan_of(), speech=None) == plan_of(speech_cpu_s_per_s=None)


def test_file_is_not_rejected_when_only_its_speech_costs_too_much() -> None:
    plan = plan_of(speech_cpu_s_per_s=100)
    assert encode_cost_s(plan) - encode_cost_s(replace(plan, speech=None)) == pytest.approx(100 * 3000)
    check_cost(plan, limit_cpu_h=2)


def test_profile_keeps_its_wish_when_a_job_stores_it() -> None:
    assert profile_from_json(profile_to_json(PROFILE)).automatic_captions
    assert not PROFILES["standard"].automatic_captions


def part(*texts: tuple[int, int, str], language: str = "en") -> dict[str, Any]:
    return {"language": language, "texts": [list(each) for each in texts]}


def test_texts_become_two_lines_with_their_share_of_the_time_when_they_are_long() -> None:
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    made = captions_of([part((0, 10_000, words))], end_ms=60_000)
    assert made is not None
    assert made.webvtt == (
        "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n"
        "\n00:00:00.000 --> 00:00:07.619\none two three four five six seven eight\nnine ten eleven twelve thirteen fourteen\n"
        "\n00:00:07.619 --> 00:00:10.000\nfifteen sixteen seventeen\n"
    )
    assert made.cues == 2


def test_texts_follow_each_other_when_they_overlap_at_a_border_or_last_too_short() -> None:
    parts = [part((8000, 10_400, "first")), part((10_000, 10_100, "second"), (70_000, 71_000, "after the end"))]
    made = captions_of(parts, end_ms=60_000)
    assert made is not None
    assert "00:00:08.000 --> 00:00:10.000\nfirst" in made.webvtt
    assert "00:00:10.000 --> 00:00:10.700\nsecond" in made.webvtt
    assert "after" not in made.webvtt


def test_markup_is_escaped_when_an_engine_writes_some() -> None:
    made = captions_of([part((0, 1000, "<b>a & b --> c"))], end_ms=2000)
    assert made is not None
    assert "&lt;b&gt;a &amp; b --&gt; c" in made.webvtt


def test_language_is_that_of_most_of_the_text_when_parts_differ() -> None:
    parts = [part((0, 1000, "hallo"), language="de"), part((1000, 2000, "hello everybody"), language="en")]
    made = captions_of(parts, end_ms=2000)
    assert made is not None
    assert made.language == "en"


def test_there_is_no_track_when_nothing_is_spoken() -> None:
    assert captions_of([part(), part()], end_ms=2000) is None


def test_track_ends_early_when_it_is_larger_than_the_limit() -> None:
    rows = [(second * 1000, second * 1000 + 900, "word " * 200) for second in range(2000)]
    made = captions_of([part(*rows)], end_ms=3_000_000)
    assert made is not None
    assert 800_000 < len(made.webvtt) <= 1_000_000


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        (Engine(WHISPER, "weights"), NO_ENGINE),
        (Engine("no.such.engine", ""), NO_ENGINE),
        (Engine("engine", ""), NO_ENGINE),
        (Engine(SCRIPTED, "weights"), NO_WEIGHTS),
    ],
)
def test_problem_is_named_when_a_machine_cannot_transcribe(engine: Engine, code: str) -> None:
    problem = engine_problem(engine)
    assert problem is not None
    assert problem.code == code


def test_weights_are_required_when_the_engine_is_whisper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tasks.transcode.speech.port.find_spec", lambda _: object())
    problem = engine_problem(Engine(WHISPER, ""))
    assert problem is not None
    assert problem.code == NO_WEIGHTS
    (tmp_path / "weights.bin").write_bytes(b"")
    assert engine_problem(Engine(WHISPER, str(tmp_path / "weights.bin"))) is None


def test_border_of_parts_is_exact_when_the_rate_is_not_a_whole_number() -> None:
    plan = plan_of(minutes=25)
    assert plan.speech is not None
    assert Fraction(plan.speech.part(1, frames=plan.frames)[0]) == plan.frames // 2
