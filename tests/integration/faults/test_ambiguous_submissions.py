"""Ambiguous submissions are resolved: one container's work takes effect, orphans are terminated, no job is lost.

The fake containers are held meanwhile, so that no claim resolves what the bridge has to resolve.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction

from tasks.batch.aws import AwsBatch
from tasks.batch.errors import BatchAmbiguousError
from tasks.conf import bridge_settings
from tasks.models import Attempt, Job
from tasks.services.ticks.submit import submit_due
from tests.factories import age, newest_attempt, uploaded_video
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import assert_all_succeeded_once, assert_done_once, wait_for_all_ends
from tests.integration.faults.tick_rounds import run_rounds_until
from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from pytest_django import Settings

    from tasks.batch.port import Submission
    from tasks.models import Video
    from tests.batch_faults import Faults
    from tests.integration.faults.fake_containers import FakeContainers

KINDS = (
    "error_before",
    "error_after",
    "drop_before",
    "drop_after",
    "hang_before",
    "hang_after",
    "throttle",
    "deny",
    "expired",
)

SITE = {**FAST_SETTINGS, "submit_lookup_delay_s": 0.3, "orphan_grace_s": 0.3, "rejected_submit_wait_s": 0.5}
"""Short delays until ambiguous submissions are resolved and orphans are terminated."""


@pytest.fixture
def site_environment(site_environment: dict[str, str], fake_container_definition: str) -> dict[str, str]:
    """Return the environment of the fast site with fake containers."""
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition, "BATCHREEL": json.dumps(SITE)}


@pytest.fixture
def held_containers(
    fast_settings: object, fake_container_definition: str, settings: Settings, fake_containers: FakeContainers
) -> FakeContainers:
    """Apply the same settings in this process, and hold the fake containers at the gate."""
    settings.VIDEO_BATCH_JOB_DEFINITION = fake_container_definition
    settings.BATCHREEL = SITE
    fake_containers.gate.clear()
    return fake_containers


def name_of(video: Video) -> str:
    """Return the name of the Batch job of the video's first attempt."""
    return f"batchreel-{Job.objects.get(video=video).pk}-1"


def batch_jobs(batch: BatchClient, video: Video) -> set[str]:
    """Return the ids of all Batch jobs ever submitted for the video's first attempt."""
    named: Any = [{"name": "JOB_NAME", "values": [name_of(video)]}]
    listed = batch.list_jobs(jobQueue=bridge_settings().job_queue, filters=named)["jobSummaryList"]
    return {each["jobId"] for each in listed}


def ended(batch: BatchClient, batch_job_id: str) -> Any:
    """Return the Batch job's JobDetail if it has ended, else None."""
    (detail,) = batch.describe_jobs(jobs=[batch_job_id])["jobs"]
    return detail if detail["status"] in {"SUCCEEDED", "FAILED"} else None


@pytest.mark.usefixtures("wakeups_are_sent", "running_site")
def test_jobs_succeed_once_when_submit_job_fails_in_any_way(
    fake_containers: FakeContainers, faults: Faults, batch_client: BatchClient
) -> None:
    fake_containers.gate.clear()
    planted, videos = {}, []
    with transaction.atomic():
        for kind in KINDS:
            videos.append(uploaded_video(title=kind))
            held = {"hold_s": 0.5} if kind.startswith("hang") else {}
            planted[kind] = faults.inject(kind, operation="SubmitJob", job_name=name_of(videos[-1]), **held)
    known = Attempt.objects.filter(state="SUBMITTED", batch_job_id__isnull=False)
    wait_for(lambda: known.count() == len(KINDS), limit_s=40, what="all submissions")
    assert {kind: faults.applied(fault) for kind, fault in planted.items()} == dict.fromkeys(KINDS, 1)
    fake_containers.gate.set()
    wait_for_all_ends(videos, limit_s=40)
    assert_all_succeeded_once(videos, batch=batch_client)


def test_orphan_is_terminated_when_list_jobs_lags_behind_a_lost_response(
    held_containers: FakeContainers, faults: Faults, batch_client: BatchClient
) -> None:
    video = uploaded_video()
    faults.inject("drop_after", operation="SubmitJob", job_name=name_of(video))
    faults.inject("partial", operation="ListJobs", job_name=name_of(video), times=None)
    run_rounds_until(Attempt.objects.filter(state="SUBMITTED").exists, what="the second SubmitJob")
    assert batch_jobs(batch_client, video) == set()
    faults.reset()
    owner = str(newest_attempt(video).batch_job_id)
    (orphan,) = batch_jobs(batch_client, video) - {owner}
    ended_job = run_rounds_until(lambda: ended(batch_client, orphan), what="the end of the orphan")
    assert ended_job["statusReason"].startswith("Batchreel: no live attempt")

    held_containers.gate.set()
    run_rounds_until(Job.objects.filter(state="SUCCEEDED").exists, what="success")
    assert_done_once([video])
    assert newest_attempt(video).batch_job_id == owner
    assert run_rounds_until(lambda: ended(batch_client, owner), what="the owner's exit")["status"] == "SUCCEEDED"


def test_one_container_wins_when_both_claim_before_submit_job_returns(
    held_containers: FakeContainers, faults: Faults, batch_client: BatchClient
) -> None:
    video = uploaded_video()
    faults.inject("drop_after", operation="SubmitJob", job_name=name_of(video))
    hanging = faults.inject("hang_after", operation="SubmitJob", job_name=name_of(video), hold_s=30)
    faults.inject("partial", operation="ListJobs", job_name=name_of(video), times=None)

    def open_gate_while_hanging() -> None:
        try:
            wait_for(lambda: faults.applied(hanging) == 1, what="the second SubmitJob")
            held_containers.gate.set()
            wait_for(lambda: len(held_containers.refused) == 1, what="the rejected claim")
        finally:
            faults.reset()

    with ThreadPoolExecutor(1) as executor:
        opening = executor.submit(open_gate_while_hanging)
        run_rounds_until(opening.done, what="two claims")
        opening.result()
    run_rounds_until(Job.objects.filter(state="SUCCEEDED").exists, what="success")
    assert_done_once([video])
    (refused,) = held_containers.refused
    assert batch_jobs(batch_client, video) == {refused, newest_attempt(video).batch_job_id}
    run_rounds_until(lambda: ended(batch_client, refused), what="the end of the rejected container")


class DoubleSubmitBatch(AwsBatch):
    """AWS Batch in which each SubmitJob takes effect twice and returns no response."""

    def submit(self, submission: Submission) -> str:
        """Submit twice, and raise BatchAmbiguousError."""
        super().submit(submission)
        super().submit(submission)
        message = "no response"
        raise BatchAmbiguousError(message)


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "batch_jobs_made"),
    [
        ("before SubmitJob", 1),
        ("after SubmitJob", 1),
        ("after the record", 1),
        ("before the adoption", 2),
        ("after the adoption", 2),
    ],
)
def test_job_succeeds_once_when_its_submitter_is_killed(
    *,
    step: str,
    batch_jobs_made: int,
    held_containers: FakeContainers,
    site_environment: dict[str, str],
    batch_client: BatchClient,
) -> None:
    video = uploaded_video()
    if batch_jobs_made > 1:
        assert submit_due(batch=DoubleSubmitBatch()).ambiguous == 1
        age(Attempt, "submit_called_at", seconds=1)
    assert run_dying_submitter(step, site_environment) == -signal.SIGKILL
    known = step in {"after the record", "after the adoption"}
    assert (newest_attempt(video).state == "SUBMITTED") is known

    run_rounds_until(Attempt.objects.filter(state="SUBMITTED").exists, what="a submission with a known Batch job")
    orphans = batch_jobs(batch_client, video) - {newest_attempt(video).batch_job_id}
    assert len(orphans) == batch_jobs_made - 1
    run_rounds_until(lambda: all(ended(batch_client, orphan) for orphan in orphans), what="the end of the orphans")
    held_containers.gate.set()
    run_rounds_until(Job.objects.filter(state="SUCCEEDED").exists, what="success")
    assert_done_once([video])


def run_dying_submitter(step: str, environment: dict[str, str]) -> int:
    """Run the submitter to its end, and return its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.faults.dying_submitter", step],
        cwd=django_settings.BASE_DIR,
        env=environment,
        timeout=30,
        check=False,
    ).returncode
