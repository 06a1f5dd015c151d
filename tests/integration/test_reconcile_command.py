"""`manage.py reconcile` as an operator runs it: its output and exit code, on a real database and endpoint."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings

from tasks.batch.aws import aws_batch
from tasks.conf import BridgeSettings
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.services.ticks.submit import submit_due
from tests.factories import uploaded_video
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.manage_command import manage
from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

    from tests.batch_faults import Faults
    from tests.contract.jobs import Jobs


@pytest.fixture
def sleeping_containers(fast_settings: BridgeSettings, dedicated_queue: Jobs, settings: Any) -> BridgeSettings:
    """Make containers sleep for ten minutes, on a queue that only this test uses."""
    settings.VIDEO_BATCH_JOB_QUEUE = dedicated_queue.queue
    settings.VIDEO_BATCH_JOB_DEFINITION = dedicated_queue.define("sleep", "600")
    Tick.objects.create(name="rescue")
    return fast_settings


@pytest.fixture
def environment(sleeping_containers: BridgeSettings, program_environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of the command."""
    return {
        **program_environment,
        "VIDEO_BATCH_JOB_QUEUE": django_settings.VIDEO_BATCH_JOB_QUEUE,
        "VIDEO_BATCH_JOB_DEFINITION": django_settings.VIDEO_BATCH_JOB_DEFINITION,
        "BATCHREEL": json.dumps({**FAST_SETTINGS, "orphan_grace_s": 0}),
    }


@pytest.fixture
def orphan(sleeping_containers: BridgeSettings, batch_client: BatchClient) -> str:
    """Submit a Batch job with our name prefix and without an attempt, and return its id."""
    name = f"{sleeping_containers.job_name_prefix}-{uuid.uuid4()}-1"
    queue, definition = django_settings.VIDEO_BATCH_JOB_QUEUE, django_settings.VIDEO_BATCH_JOB_DEFINITION
    return batch_client.submit_job(jobName=name, jobQueue=queue, jobDefinition=definition)["jobId"]


@pytest.fixture
def lost_attempt(sleeping_containers: BridgeSettings, batch_client: BatchClient, faults: Faults) -> Attempt:
    """Return an attempt whose host AWS has terminated, which no tick has observed since."""
    assert sleeping_containers
    uploaded_video()
    assert submit_due(batch=aws_batch()).submitted == 1
    attempt = Attempt.objects.get()
    wait_for_status(batch_client, str(attempt.batch_job_id), "RUNNING")
    faults.inject("host_loss", job_id=attempt.batch_job_id)
    wait_for_status(batch_client, str(attempt.batch_job_id), "FAILED")
    return attempt


def wait_for_status(batch: BatchClient, batch_job_id: str, status: str) -> Any:
    """Wait until the Batch job has this status, and return its JobDetail."""

    def poll() -> Any:
        (detail,) = batch.describe_jobs(jobs=[batch_job_id])["jobs"]
        return detail if detail["status"] == status else None

    return wait_for(poll, what=f"{status} of {batch_job_id}")


def rows() -> list[Any]:
    """Return all rows of the bridge."""
    return [list(model.objects.order_by("pk").values()) for model in (Video, Job, Attempt, Unit, Event, Tick)]


@pytest.mark.long
def test_reconcile_explains_changes_and_makes_them_only_when_applied(
    lost_attempt: Attempt, orphan: str, environment: dict[str, str], batch_client: BatchClient
) -> None:
    (video_without_job,) = Video.objects.bulk_create([Video(title="no job", source="sources/no-job.mp4")])
    wait_for_status(batch_client, orphan, "RUNNING")
    before = rows()
    dry_run = manage("reconcile", environment=environment)
    assert (dry_run.returncode, dry_run.stdout.splitlines()[0]) == (0, "Would do:")
    assert (
        f"attempt.fail (job {lost_attempt.job_id}, attempt 1) SUBMITTED -> FAILED: The container's host was lost. AWS: Host EC2"
        in dry_run.stdout
    )
    assert f"terminate Batch job {orphan}: Batchreel: no live attempt has this Batch job" in dry_run.stdout
    assert rows() == before
    assert wait_for_status(batch_client, orphan, "RUNNING")

    done = manage("reconcile", "--apply", environment=environment)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Done:")
    lost_attempt.refresh_from_db()
    assert (lost_attempt.state, lost_attempt.reason, lost_attempt.counted) == ("FAILED", Reason.HOST_LOST, False)
    assert Job.objects.get(pk=lost_attempt.job_id).state == "RETRY_WAIT"
    assert Job.objects.get(video=video_without_job).state == "QUEUED"
    assert wait_for_status(batch_client, orphan, "FAILED")["statusReason"].startswith("Batchreel: no live attempt")

    again = manage("reconcile", "--apply", environment=environment)
    assert again.stdout.strip() == "Rows and AWS Batch agree; there is nothing to do."


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("kind", "operation", "words"),
    [
        ("deny", "DescribeJobs", "AccessDeniedException"),
        ("expired", "DescribeJobs", "ExpiredTokenException"),
        ("deny", "ListJobs", "AccessDeniedException"),
    ],
)
def test_reconcile_changes_nothing_and_explains_when_aws_rejects_calls(
    *, kind: str, operation: str, words: str, lost_attempt: Attempt, environment: dict[str, str], faults: Faults
) -> None:
    assert lost_attempt.batch_job_id
    faults.inject(kind, operation=operation, times=None)
    before = rows()
    ran = manage("reconcile", "--apply", environment=environment)
    assert (ran.returncode, ran.stdout) == (1, "")
    (message,) = [line for line in ran.stderr.splitlines() if " INFO " not in line]
    assert message.startswith(f"CommandError: Not reconciled: {operation} at ")
    assert f"An error occurred ({words})" in message
    assert rows() == before


@pytest.mark.long
def test_reconcile_does_the_remainder_when_aws_rejects_terminate_job(
    lost_attempt: Attempt, orphan: str, environment: dict[str, str], faults: Faults
) -> None:
    faults.inject("deny", operation="TerminateJob", times=None)
    ran = manage("reconcile", "--apply", environment=environment)
    assert ran.returncode == 1, ran.stderr
    assert f"NOT terminated: Batch job {orphan}: TerminateJob" in ran.stdout
    assert "1 Batch jobs were not terminated" in ran.stderr
    lost_attempt.refresh_from_db()
    assert lost_attempt.state == "FAILED"


def test_reconcile_explains_the_failure_when_the_database_is_unreachable(program_environment: dict[str, str]) -> None:
    ran = manage("reconcile", environment={**program_environment, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"})
    assert ran.returncode == 1
    assert "Not reconciled: the database is unavailable" in ran.stderr
