"""Doctor finds out whether the image can transcribe, if a profile asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tasks.doctor import from_batch
from tasks.doctor.finding import Finding, Status, ok
from tasks.doctor.probes.media import check_speech
from tasks.lifecycle.observation import BatchStatus, Observation
from tests.speech_engines import SCRIPTED

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

ASKING = {"profiles": {"lectures": {"automatic_captions": True}}}


def found(settings: Settings, **values: Any) -> list[Finding]:
    settings.BATCHREEL = values
    return list(check_speech())


def test_doctor_is_silent_when_nobody_asks_for_automatic_captions(settings: Settings) -> None:
    assert found(settings) == []


def test_doctor_names_the_missing_engine_when_a_profile_asks_for_it(settings: Settings) -> None:
    (finding,) = found(settings, **ASKING)
    assert (finding.part, finding.status) == ("speech", Status.FAILED)
    assert finding.why == (
        "pywhispercpp is not installed on this machine. So no video gets automatic captions (SPEECH_NO_ENGINE)."
    )
    assert "automatic-captions.md" in finding.fix


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        ({}, Status.OK, "The engine runs, for lectures."),
        ({"do": "fail"}, Status.FAILED, "the model is not for this engine"),
    ],
)
def test_doctor_lets_the_engine_run_when_the_image_has_one(
    script: dict[str, Any], status: Status, why: str, settings: Settings, tmp_path: Path
) -> None:
    weights = tmp_path / "script.json"
    weights.write_text(json.dumps(script))
    (finding,) = found(settings, **ASKING, speech_engine=SCRIPTED, speech_weights=str(weights))
    assert finding.status is status
    assert why in finding.why


def test_doctor_names_the_profile_when_the_image_has_older_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BATCHREEL = ASKING
    seen = Observation(batch_job_id="id", status=BatchStatus.SUCCEEDED, started=True)
    monkeypatch.setattr(from_batch, "_logged", lambda _: ([ok("container: ffmpeg", "")], []))
    *_, last = from_batch._findings(seen, wait_s=1)
    assert (last.status, last.why) == (
        Status.FAILED,
        "lectures asks for automatic captions, and the image has no engine for speech.",
    )
    monkeypatch.setattr(from_batch, "_logged", lambda _: ([ok("container: speech", "")], []))
    assert [each.status for each in from_batch._findings(seen, wait_s=1)] == [Status.OK, Status.OK]
