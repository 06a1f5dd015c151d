"""Doubt about a SubmitJob is settled: one container's work takes effect, orphans are ended, no job is lost.

The doors of the stand-ins are closed meanwhile, so that no claim heals what the bridge has to.
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
from tests.integration.fast_settings import QUICK
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

SITE = {**QUICK, "submit_lookup_delay_s": 0.3, "orphan_grace_s": 0.3, "rejected_submit_wait_s": 0.5}
"""Doubts are settled, and orphans ended, soon."""


@pytest.fixture
def site_environment(site_environment: dict[str, str], stand_in_definition: str) -> dict[str, str]:
    """The quick site, with stand-ins for containers."""
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": stand_in_definition, "BATCHREEL": json.dumps(SITE)}


@pytest.fixture
def closed_hall(quick: object, stand_in_definition: str, settings: Settings, hall: FakeContainers) -> FakeContainers:
    """The same in this process. The doors are closed."""
    settings.VIDEO_BATCH_JOB_DEFINITION = stand_in_definition
    settings.BATCHREEL = SITE
    hall.doors.clear()
    return hall


def name_of(video: Video) -> str:
    """The name of the Batch job of the video's first attempt."""
    return f"batchreel-{Job.objects.get(video=video).pk}-1"


def batch_jobs(batch: BatchClient, video: Video) -> set[str]:
    """The ids of all Batch jobs that the video's first attempt ever got."""
    named: Any = [{"name": "JOB_NAME", "values": [name_of(video)]}]
    listed = batch.list_jobs(jobQueue=bridge_settings().job_queue, filters=named)["jobSummaryList"]
    return {each["jobId"] for each in listed}


def ended(batch: BatchClient, batch_job_id: str) -> Any:
    """The Batch job's detail if it is over."""
    (detail,) = batch.describe_jobs(jobs=[batch_job_id])["jobs"]
    return detail if detail["status"] in {"SUCCEEDED", "FAILED"} else None


@pytest.mark.usefixtures("wakeups_are_sent", "running_site")
def test_every_job_is_submitted_and_succeeds_once_when_submit_job_goes_wrong_in_any_way(
    hall: FakeContainers, faults: Faults, batch_client: BatchClient
) -> None:
    hall.doors.clear()
    planted, videos = {}, []
    with transaction.atomic():
        for kind in KINDS:
            videos.append(uploaded_video(title=kind))
            held = {"hold_s": 0.5} if kind.startswith("hang") else {}
            planted[kind] = faults.plant(kind, operation="SubmitJob", job_name=name_of(videos[-1]), **held)
    known = Attempt.objects.filter(state="SUBMITTED", batch_job_id__isnull=False)
    wait_for(lambda: known.count() == len(KINDS), limit_s=40, what="all submissions")
    assert {kind: faults.applied(fault) for kind, fault in planted.items()} == dict.fromkeys(KINDS, 1)
    hall.doors.set()
    wait_for_all_ends(videos, limit_s=40)
    assert_all_succeeded_once(videos, batch=batch_client)


def test_orphan_is_terminated_when_list_jobs_lagged_behind_a_submit_whose_answer_was_lost(
    closed_hall: FakeContainers, faults: Faults, batch_client: BatchClient
) -> None:
    video = uploaded_video()
    faults.plant("drop_after", operation="SubmitJob", job_name=name_of(video))
    faults.plant("partial", operation="ListJobs", job_name=name_of(video), times=None)
    run_rounds_until(Attempt.objects.filter(state="SUBMITTED").exists, what="the second SubmitJob")
    assert batch_jobs(batch_client, video) == set()
    faults.reset()
    owner = str(newest_attempt(video).batch_job_id)
    (orphan,) = batch_jobs(batch_client, video) - {owner}
    over = run_rounds_until(lambda: ended(batch_client, orphan), what="the end of the orphan")
    assert over["statusReason"].startswith("Batchreel: no live attempt")

    closed_hall.doors.set()
    run_rounds_until(Job.objects.filter(state="SUCCEEDED").exists, what="success")
    assert_done_once([video])
    assert newest_attempt(video).batch_job_id == owner
    assert run_rounds_until(lambda: ended(batch_client, owner), what="the owner's exit")["status"] == "SUCCEEDED"


def test_one_of_two_containers_works_when_both_claim_before_the_answers_came(
    closed_hall: FakeContainers, faults: Faults, batch_client: BatchClient
) -> None:
    video = uploaded_video()
    faults.plant("drop_after", operation="SubmitJob", job_name=name_of(video))
    hung = faults.plant("hang_after", operation="SubmitJob", job_name=name_of(video), hold_s=30)
    faults.plant("partial", operation="ListJobs", job_name=name_of(video), times=None)

    def open_while_it_hangs() -> None:
        try:
            wait_for(lambda: faults.applied(hung) == 1, what="the second SubmitJob")
            closed_hall.doors.set()
            wait_for(lambda: len(closed_hall.refused) == 1, what="the claim that is refused")
        finally:
            faults.reset()

    with ThreadPoolExecutor(1) as doorkeeper:
        opened = doorkeeper.submit(open_while_it_hangs)
        run_rounds_until(opened.done, what="two claims")
        opened.result()
    run_rounds_until(Job.objects.filter(state="SUCCEEDED").exists, what="success")
    assert_done_once([video])
    (refused,) = closed_hall.refused
    assert batch_jobs(batch_client, video) == {refused, newest_attempt(video).batch_job_id}
    run_rounds_until(lambda: ended(batch_client, refused), what="the end of the one that was refused")


class Doubled(AwsBatch):
    """Each SubmitJob takes effect twice, and no answer comes."""

    def submit(self, submission: Submission) -> str:
        """Raise BatchAmbiguousError, after both."""
        super().submit(submission)
        super().submit(submission)
        message = "no answer"
        raise BatchAmbiguousError(message)


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
    closed_hall: FakeContainers,
    site_environment: dict[str, str],
    batch_client: BatchClient,
) -> None:
    video = uploaded_video()
    if batch_jobs_made > 1:
        assert submit_due(batch=Doubled()).ambiguous == 1
        age(Attempt, "submit_called_at", seconds=1)
    assert run_dying_submitter(step, site_environment) == -signal.SIGKILL
    known = step in {"after the record", "after the adoption"}
    assert (newest_attempt(video).state == "SUBMITTED") is known

    run_rounds_until(Attempt.objects.filter(state="SUBMITTED").exists, what="a Batch job that is known")
    orphans = batch_jobs(batch_client, video) - {newest_attempt(video).batch_job_id}
    assert len(orphans) == batch_jobs_made - 1
    run_rounds_until(lambda: all(ended(batch_client, orphan) for orphan in orphans), what="the end of the orphans")
    closed_hall.doors.set()
    run_rounds_until(Job.objects.filter(state="SUCCEEDED").exists, what="success")
    assert_done_once([video])


def run_dying_submitter(step: str, environment: dict[str, str]) -> int:
    """Run it to its end, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.faults.dying_submitter", step],
        cwd=django_settings.BASE_DIR,
        env=environment,
        timeout=30,
        check=False,
    ).returncode
