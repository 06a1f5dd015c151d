"""Units of speech: leased after the media by those who can do them, done again after a loss, and never in the way."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import File

from tasks.container.context import ContainerContext
from tasks.container.progress import Progress
from tasks.container.units import run as units
from tasks.container.units.plan import planned_units, run_plan
from tasks.container.units.publish import _transcript
from tasks.container.units.speech import run_speech
from tasks.lifecycle.states import UnitKind
from tasks.models import Attempt, Job, Unit, Video
from tasks.services.container_api.claim import Claim, Lease, NothingToLease, lease_unit
from tasks.services.container_api.finish import PlannedUnit, finish_attempt, finish_plan, finish_unit
from tasks.services.container_api.publish import finished_speech
from tasks.services.ticks.submit import submit_due
from tasks.transcode import PROFILES, encode_cost_s, profile_to_json
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.contract.test_container_partial_source import Always
from tests.factories import ScriptedBatch, claimed, helper_of, leased, newest_attempt, submitted_attempt
from tests.speech_engines import SCRIPTED

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def planned_with_speech(claim: Claim, *, parts: int = 2) -> None:
    """Finish a plan with a video unit and units of speech."""
    kinds = [(UnitKind.VIDEO, 0), *((UnitKind.SPEECH, index) for index in range(parts))]
    planned = [
        PlannedUnit(kind=kind, index=index, first_frame=0, end_frame=60, weight_frames=60) for kind, index in kinds
    ]
    finish_plan(claim, leased(claim), plan={}, units=planned, plays_directly=False, encode_cost_s=10)


def names(claim: Claim, *, transcribes: bool) -> list[str]:
    """Lease units until there is none, finish each, and return their names."""
    found: list[str] = []
    while isinstance(lease := lease_unit(claim, lease_id=f"lease-{len(found)}", transcribes=transcribes), Lease):
        found.append(f"{lease.kind} {lease.index}")
        if lease.kind is UnitKind.PUBLISH:
            break
        finish_unit(claim, lease, output={"folder": "", "media": {}})
    return found


def test_speech_follows_the_media_and_publishing_waits_for_it_when_one_container_does_all() -> None:
    claim = claimed(submitted_attempt())
    planned_with_speech(claim)
    assert names(claim, transcribes=True) == ["video 0", "speech 0", "speech 1", "publish 0"]


def test_helper_without_an_engine_gets_no_speech_when_another_container_works() -> None:
    planner = claimed(submitted_attempt())
    planned_with_speech(planner)
    helper = claimed(helper_of(planner))
    assert names(helper, transcribes=False) == ["video 0"]
    assert lease_unit(helper, lease_id="x") is NothingToLease.HELD_BY_OTHERS
    assert finish_attempt(helper)
    assert names(planner, transcribes=True) == ["speech 0", "speech 1", "publish 0"]


def test_last_container_gives_speech_up_when_it_has_no_engine() -> None:
    planner = claimed(submitted_attempt())
    planned_with_speech(planner)
    helper = claimed(helper_of(planner))
    Attempt.objects.filter(pk=planner.attempt_id).update(state="LOST", reason="LOST", ended_at="2026-01-01T00:00Z")
    assert not finish_attempt(helper)
    assert names(helper, transcribes=False) == ["video 0", "speech 0", "speech 1", "publish 0"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a video of 6 s with a tone in the seconds 2 and 4."""
    path = tmp_path / "tones.mp4"
    tone = "aevalsrc='0.5*sin(2*PI*440*t)*(between(t,2,3)+between(t,4,5))':s=44100:d=6"
    subprocess.run(
        [
            *(ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", "color=s=64x64:r=10:d=6", "-f", "lavfi", "-i", tone),
            *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(path)),
        ],
        check=True,
    )
    return path


class Container:
    """A container of a video whose profile asks for automatic captions, with its real units of plan and speech."""

    def __init__(self, recording: Path, folder: Path, settings: Settings, **script: Any) -> None:
        script_file = folder / "script.json"
        script_file.write_text(json.dumps(script))
        self.settings = settings
        self.use(speech_engine=SCRIPTED, speech_weights=str(script_file))
        video = Video(title="Tones")
        with recording.open("rb") as file:
            video.source.save("tones.mp4", File(file))
        profile = replace(PROFILES["fast"], automatic_captions=True)
        Job.objects.update(profile_fields=profile_to_json(profile))
        submit_due(batch=ScriptedBatch())
        self.folder = folder
        self.start(newest_attempt(video))

    def use(self, **values: Any) -> None:
        """Set the engine of the image."""
        self.settings.BATCHREEL = {
            "scratch_reserve_mib": 1,
            "scratch_floor_mib": 1,
            "speech_cpu_s_per_s": 0.5,
            **values,
        }

    def start(self, attempt: Attempt) -> None:
        """Start another container."""
        self.claim = claimed(attempt)
        folder = self.folder / f"container-{attempt.pk}"
        folder.mkdir()
        self.context = ContainerContext(
            claim=self.claim,
            folder=folder,
            database=lambda call: call(),  # type: ignore[arg-type] # without retries
            reservation=Always(),  # type: ignore[arg-type] # the disk has room
            progress=Progress(),
            stop=threading.Event(),
        )

    def lease(self, *, transcribes: bool = True) -> Lease:
        """Lease the next unit."""
        number = Unit.objects.filter(job=self.claim.job_id).exclude(lease_id="").count()
        lease = lease_unit(self.claim, lease_id=f"{self.claim.number}-{number}", transcribes=transcribes)
        assert isinstance(lease, Lease), lease
        return lease

    def plan(self) -> None:
        """Run the plan unit, and finish the media."""
        run_plan(self.context, self.lease(), 0, self.context.folder)
        Unit.objects.filter(kind__in=["video", "audio"]).update(state="DONE", done_at="2026-01-01T00:00Z")

    def speak(self, lease: Lease) -> dict[str, Any]:
        """Run a unit of speech, and return its output."""
        assert lease.kind is UnitKind.SPEECH
        units.run_unit(self.context, lease, 0)
        (output,) = finished_speech(self.claim.job_id)
        return output

    def transcript(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return what would be published."""
        return _transcript(self.context, self.context.plan(self.lease()))


SPOKEN = {"language": "en", "texts": [[2000, 3000, "word 2"], [4000, 5000, "word 4"]]}


def test_what_is_heard_is_published_when_the_profile_asks_for_it(
    recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings)
    container.plan()
    assert container.speak(container.lease()) == SPOKEN
    transcript, warnings = container.transcript()
    assert warnings == []
    assert transcript is not None
    assert transcript["language"] == "en"
    assert "00:00:02.000 --> 00:00:03.000\nword 2\n" in transcript["webvtt"]


def test_part_has_the_same_text_when_the_container_was_lost_in_the_middle_of_it(
    recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings)
    container.plan()
    lost = container.lease()
    Attempt.objects.filter(pk=container.claim.attempt_id).update(
        state="LOST", reason="LOST", ended_at="2026-01-01T00:00Z"
    )
    late = partial(finish_unit, container.claim, lost, output={"language": "xx", "texts": []})
    container.start(helper_of(container.claim))
    again = container.lease()
    assert (again.unit_id, again.fence) == (lost.unit_id, lost.fence + 1)
    assert container.speak(again) == SPOKEN
    with pytest.raises(Exception, match="was superseded"):
        late()
    assert finished_speech(container.claim.job_id) == [SPOKEN]


@pytest.mark.parametrize(("script", "code"), [({"do": "fail"}, "SPEECH_FAILED"), ({"do": "crash"}, "SPEECH_CRASHED")])
def test_video_is_published_with_a_warning_when_the_engine_fails(
    script: dict[str, Any], code: str, recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings, **script)
    container.plan()
    assert container.speak(container.lease())["fault"] == code
    assert container.transcript() == (None, [f"CAPTIONS_NOT_TRANSCRIBED {code}"])


def test_part_is_given_up_when_containers_end_with_it_again_and_again(
    recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings)
    container.plan()
    lease = container.lease()
    Unit.objects.filter(pk=lease.unit_id).update(fence=4)
    assert container.speak(replace(lease, fence=4))["fault"] == "SPEECH_INTERRUPTED"


def test_other_parts_are_not_transcribed_when_one_has_failed(
    recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings, do="hang")
    container.plan()
    lease = container.lease()
    Unit.objects.create(
        job_id=container.claim.job_id, kind="speech", index=1, state="DONE", done_at="2026-01-01T00:00Z",
        output={"fault": "SPEECH_CRASHED", "text": ""},
    )  # fmt: skip
    run_speech(container.context, lease, 0, container.context.folder)
    assert [each["fault"] for each in finished_speech(container.claim.job_id)] == ["SPEECH_CRASHED"] * 2


def test_plan_has_no_speech_when_the_image_has_no_engine_or_the_file_was_transcribed(
    recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings)
    container.use()
    container.plan()
    assert not Unit.objects.filter(kind="speech").exists()
    assert Job.objects.get().plan["speech"] is None  # type: ignore[index] # it was planned


def test_last_container_publishes_with_a_warning_when_its_image_has_no_engine(
    recording: Path, tmp_path: Path, settings: Settings
) -> None:
    container = Container(recording, tmp_path, settings)
    container.plan()
    container.use()
    assert container.speak(container.lease(transcribes=False))["fault"] == "SPEECH_NO_ENGINE"
    assert container.transcript() == (None, ["CAPTIONS_NOT_TRANSCRIBED SPEECH_NO_ENGINE"])


def test_work_of_speech_counts_when_helpers_are_chosen(recording: Path, tmp_path: Path, settings: Settings) -> None:
    container = Container(recording, tmp_path, settings)
    container.plan()
    plan = container.context.plan(container.lease())
    assert plan.speech is not None
    rest_s = encode_cost_s(plan) - plan.speech.cost_s
    by_kind = {unit.kind: unit.weight_frames for unit in planned_units(plan)}
    media_frames = sum(frames for kind, frames in by_kind.items() if kind is not UnitKind.SPEECH)
    assert by_kind[UnitKind.SPEECH] == round(media_frames * plan.speech.cost_s / rest_s)
