"""A part of the audio is transcribed in a child process, whose faults are named and end nothing else."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import PROFILES, EncodeError, StoppedError, make_plan, probe_source
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tasks.transcode.sandbox.limits import ChildLimits
from tasks.transcode.speech import run as speech_run
from tasks.transcode.speech.faults import ANSWER, AUDIO, CRASHED, FAILED, HUNG, OUT_OF_MEMORY, TOO_SLOW, SpeechError
from tasks.transcode.speech.port import Engine
from tasks.transcode.speech.run import transcribe_part
from tests.speech_engines import SCRIPTED

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.transcode import Plan

TONES = "+".join(f"between(t,{second},{second + 1})" for second in (3, 9, 10, 19))
"""A tone in the seconds 3, 9, 10 and 19 of the recording; silence in all others."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of 20 s whose audio is at its times although its clock begins at 5 s."""
    path = tmp_path_factory.mktemp("speech") / "tones.mp4"
    tone = f"aevalsrc='0.5*sin(2*PI*440*t)*({TONES})':s=44100:d=20"
    subprocess.run(
        [
            *(
                ffmpeg_binary(),
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "color=s=64x64:r=10:d=20",
                "-f",
                "lavfi",
                "-i",
                tone,
            ),
            *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-output_ts_offset", "5", str(path)),
        ],
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def plan(recording: Path) -> Plan:
    """Return its plan, with two parts of speech that meet at 10 s."""
    plan = make_plan(probe_source(recording), PROFILES["fast"], threads=1, speech_cpu_s_per_s=0.01)
    assert plan.speech is not None
    return replace(plan, speech=replace(plan.speech, starts=(0, plan.frames // 2)))


def transcribed(
    recording: Path, plan: Plan, folder: Path, index: int = 0, *, stop: threading.Event | None = None, **script: Any
) -> dict[str, Any]:
    weights = folder / "script.json"
    weights.write_text(json.dumps(script))
    engine = Engine(SCRIPTED, str(weights))
    return transcribe_part(recording, plan, index, folder, engine=engine, stop=stop or threading.Event())


def test_texts_are_at_their_times_and_in_one_part_when_a_border_divides_them(
    recording: Path, plan: Plan, tmp_path: Path
) -> None:
    first = transcribed(recording, plan, tmp_path, 0)
    second = transcribed(recording, plan, tmp_path, 1)
    assert first["language"] == second["language"] == "en"
    # The audio of the second part begins at second 5, from which its engine counts.
    assert first["texts"] == [[3000, 4000, "word 3"], [9000, 10000, "word 9"]]
    assert second["texts"] == [[10000, 11000, "word 5"], [19000, 20000, "word 14"]]


def test_result_is_the_same_when_a_part_is_done_again(recording: Path, plan: Plan, tmp_path: Path) -> None:
    assert transcribed(recording, plan, tmp_path, 1) == transcribed(recording, plan, tmp_path, 1)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"do": "fail"}, FAILED),
        ({"do": "crash"}, CRASHED),
        ({"do": "swallow"}, OUT_OF_MEMORY),
        ({"do": "call out"}, FAILED),
        ({"do": "nonsense"}, ANSWER),
    ],
)
def test_fault_has_its_code_when_the_engine_fails(
    script: dict[str, Any], code: str, recording: Path, plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(SpeechError) as error:
        transcribed(recording, plan, tmp_path, **script)
    assert error.value.code == code


def test_engine_is_stopped_when_it_computes_for_too_long(
    recording: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_run, "_LOADING_S", 1)
    with pytest.raises(SpeechError) as error:
        transcribed(recording, plan, tmp_path, do="compute")
    assert error.value.code == TOO_SLOW


def test_engine_is_stopped_when_it_sleeps(
    recording: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = ChildLimits
    monkeypatch.setattr(speech_run, "ChildLimits", lambda **given: limits(**given, idle_s=1))
    with pytest.raises(SpeechError) as error:
        transcribed(recording, plan, tmp_path, do="hang")
    assert error.value.code == HUNG


def test_engine_is_stopped_when_the_container_ends(recording: Path, plan: Plan, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        transcribed(recording, plan, tmp_path, stop=stop, do="hang")


def test_answer_is_read_when_a_library_prints_to_standard_output(recording: Path, plan: Plan, tmp_path: Path) -> None:
    assert transcribed(recording, plan, tmp_path, do="print")["texts"][0] == [3000, 4000, "word 3"]


def test_engine_is_not_asked_when_a_part_is_silent(recording: Path, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(SpeechError):
        transcribed(recording, plan, tmp_path, do="fail")
    assert plan.audio is not None
    track = replace(plan.audio.tracks[0], gain_db=-70.0)
    quiet = replace(plan, audio=replace(plan.audio, tracks=(track,)))
    assert transcribed(recording, quiet, tmp_path, do="fail") == {"language": "", "texts": []}


def test_fault_is_of_the_audio_when_ffmpeg_cannot_decode_it(recording: Path, plan: Plan, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(recording.read_bytes()[:100])
    with pytest.raises(EncodeError) as error:
        transcribed(damaged, plan, tmp_path)
    assert error.value.code == AUDIO
