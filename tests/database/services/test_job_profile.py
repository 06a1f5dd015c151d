"""A job's profile is fixed when it is requested, and reaches the container exactly."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tasks.container.context import ContainerContext
from tasks.container.failures import failure_of
from tasks.container.progress import Progress
from tasks.container.units.plan import run_plan
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.models import Job, Unit, Video
from tasks.services.container_api.claim import lease_unit
from tasks.services.requests.profiles import ProfileUnavailableError
from tasks.services.requests.request import request_again, request_missing_jobs, retry_video
from tasks.transcode import PROFILES, Plan, profile_to_json
from tests.factories import claimed, published, submitted_attempt, uploaded_video
from tests.media.clips import make_clip

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

    from tasks.services.container_api.claim import Claim

pytestmark = pytest.mark.django_db

TINY = {"extends": "fast", "rungs": [{"short_side_px": 60, "crf": 30, "maxrate_bps": 100_000}], "thumbnail_s": None}
OTHER = {"extends": "fast", "rungs": [{"short_side_px": 80, "crf": 20, "maxrate_bps": 200_000}]}


@pytest.fixture
def recording(tmp_path: Path) -> bytes:
    return make_clip(tmp_path / "recording.mp4", frames=20).read_bytes()


def made_plan(claim: Claim, folder: Path) -> Plan:
    """Lease and run the plan unit as a container does, and return the plan as it is stored."""
    context = ContainerContext(
        claim=claim,
        folder=folder,
        database=lambda call: call(),
        reservation=None,  # type: ignore[arg-type] # nothing is fetched from a folder
        progress=Progress(),
        stop=threading.Event(),
    )
    lease = lease_unit(claim, lease_id="twelve-chars")
    assert not run_plan(context, lease, 0, folder)  # type: ignore[arg-type] # there is a plan unit
    return Plan.from_json(Job.objects.get(pk=claim.job_id).plan)


def test_job_stores_the_sites_profile_when_an_upload_requests_it(settings: Settings) -> None:
    settings.BATCHREEL = {"profile": "tiny", "profiles": {"tiny": TINY}}
    job = Job.objects.get(video=uploaded_video())
    assert (job.profile, job.profile_fields["name"], job.profile_fields["rungs"]) == ("tiny", "tiny", TINY["rungs"])
    assert set(job.profile_fields) == set(profile_to_json(PROFILES["fast"]))


def test_job_has_the_profile_that_a_request_names() -> None:
    video = published()
    job = Job.objects.get(pk=request_again(video_id=video.pk, profile="fast").job_id)
    assert (job.profile, job.profile_fields) == ("fast", json.loads(json.dumps(profile_to_json(PROFILES["fast"]))))


def test_request_is_refused_when_it_names_a_profile_that_does_not_exist() -> None:
    video = published()
    with pytest.raises(
        ProfileUnavailableError, match=r"no profile 'lecture'\. Choose one of: fast, standard"
    ) as refused:
        request_again(video_id=video.pk, profile="lecture")
    assert refused.value.code == "PROFILE_UNAVAILABLE"
    assert Job.objects.filter(video=video).count() == 1


def test_plan_has_the_requested_ladder_when_the_settings_change_in_mid_job(
    settings: Settings, recording: bytes, tmp_path: Path
) -> None:
    settings.BATCHREEL = {"profile": "tiny", "profiles": {"tiny": TINY}}
    claim = claimed(submitted_attempt(uploaded_video(content=recording)))
    settings.BATCHREEL = {"profile": "tiny", "profiles": {"tiny": OTHER}}
    plan = made_plan(claim, tmp_path)
    assert [(rung.name, rung.crf, rung.maxrate_bps) for rung in plan.rungs] == [("60p", 30, 100_000)]
    assert plan.thumbnails is None
    # A plan of another engine version is made again, by a container with the new settings.
    Unit.objects.filter(job_id=claim.job_id).exclude(kind="plan").delete()
    Unit.objects.filter(job_id=claim.job_id).update(state="PENDING")
    settings.BATCHREEL = {"profiles": {}}
    assert made_plan(claim, tmp_path) == plan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codec": "av1"}, "cannot encode the job's profile 'standard': there is no field codec"),
        ({"preset": "placebo"}, "preset is 'placebo'"),
        (None, "it has no preset, rungs"),
    ],
    ids=["a newer field", "a newer value", "no fields"],
)
def test_container_fails_as_misconfigured_when_its_image_does_not_have_all_of_the_profile(
    changes: dict[str, Any] | None, words: str, recording: bytes, tmp_path: Path
) -> None:
    attempt = submitted_attempt(uploaded_video(content=recording))
    fields = {} if changes is None else attempt.job.profile_fields | changes
    Job.objects.filter(pk=attempt.job_id).update(profile_fields=fields)
    claim = claimed(attempt)
    with pytest.raises(ImproperlyConfigured, match="This image") as caught:
        made_plan(claim, tmp_path)
    code, reason, text = failure_of(caught.value, was_out_of_memory=False)
    assert (code, reason) == (ExitCode.MISCONFIGURED, Reason.MISCONFIGURED)
    assert words in text
    assert Job.objects.get(pk=claim.job_id).plan is None


def test_upload_gets_its_job_later_when_the_profiles_cannot_be_used(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BATCHREEL = {"profiles": {"seminar": {"preset": "placebo"}}}
    video = uploaded_video()
    assert "preset is 'placebo'" in caplog.text
    assert request_missing_jobs(limit=10) == 0
    settings.BATCHREEL = {}
    assert request_missing_jobs(limit=10) == 1
    assert Job.objects.get(video=video).profile == "standard"


@pytest.mark.parametrize(
    ("automatic", "still_there", "expected"),
    [(False, True, "seminar"), (False, False, "standard"), (True, True, "standard")],
)
def test_retry_has_the_profile_that_a_person_requested_if_it_still_exists(
    automatic: bool, still_there: bool, expected: str, settings: Settings
) -> None:
    video = uploaded_video()
    Job.objects.filter(video=video).update(
        profile="seminar", automatic=automatic, state="FAILED", reason="NOT_A_VIDEO", next_attempt_at=None
    )
    settings.BATCHREEL = {"profiles": {"seminar": {}} if still_there else {}}
    job = Job.objects.get(pk=retry_video(video_id=video.pk).job_id)
    assert (job.profile, job.state) == (expected, "QUEUED")
    assert Video.objects.get(pk=video.pk).jobs.count() == 2
