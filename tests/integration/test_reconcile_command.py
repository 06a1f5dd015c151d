"""`manage.py reconcile` as an operator runs it: a program with output and an exit code, on a real database and endpoint."""

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
from tests.integration.fast_settings import QUICK
from tests.integration.manage_command import manage
from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

    from tests.batch_faults import Faults
    from tests.contract.jobs import Jobs


@pytest.fixture
def sleepers(quick: BridgeSettings, own_queue: Jobs, settings: Any) -> BridgeSettings:
    """Containers do nothing, for long, on a queue of the test's own."""
    settings.VIDEO_BATCH_JOB_QUEUE = own_queue.queue
    settings.VIDEO_BATCH_JOB_DEFINITION = own_queue.define("sleep", "600")
    Tick.objects.create(name="rescue")
    return quick


@pytest.fixture
def environment(sleepers: BridgeSettings, program_environment: dict[str, str]) -> dict[str, str]:
    """The environment of the command."""
    return {
        **program_environment,
        "VIDEO_BATCH_JOB_QUEUE": django_settings.VIDEO_BATCH_JOB_QUEUE,
        "VIDEO_BATCH_JOB_DEFINITION": django_settings.VIDEO_BATCH_JOB_DEFINITION,
        "BATCHREEL": json.dumps({**QUICK, "orphan_grace_s": 0}),
    }


@pytest.fixture
def orphan(sleepers: BridgeSettings, batch_client: BatchClient) -> str:
    """The id of a Batch job under our prefix that no attempt has."""
    name = f"{sleepers.job_name_prefix}-{uuid.uuid4()}-1"
    queue, definition = django_settings.VIDEO_BATCH_JOB_QUEUE, django_settings.VIDEO_BATCH_JOB_DEFINITION
    return batch_client.submit_job(jobName=name, jobQueue=queue, jobDefinition=definition)["jobId"]


@pytest.fixture
def lost(sleepers: BridgeSettings, batch_client: BatchClient, faults: Faults) -> Attempt:
    """An attempt whose machine AWS took away; nobody has asked AWS since."""
    assert sleepers
    uploaded_video()
    assert submit_due(batch=aws_batch()).submitted == 1
    attempt = Attempt.objects.get()
    wait_for_status(batch_client, str(attempt.batch_job_id), "RUNNING")
    faults.plant("host_loss", job_id=attempt.batch_job_id)
    wait_for_status(batch_client, str(attempt.batch_job_id), "FAILED")
    return attempt


def wait_for_status(batch: BatchClient, batch_job_id: str, status: str) -> Any:
    """The Batch job's detail, once it has this status."""

    def look() -> Any:
        (detail,) = batch.describe_jobs(jobs=[batch_job_id])["jobs"]
        return detail if detail["status"] == status else None

    return wait_for(look, what=f"{status} of {batch_job_id}")


def rows() -> list[Any]:
    """Everything that the bridge has written."""
    return [list(model.objects.order_by("pk").values()) for model in (Video, Job, Attempt, Unit, Event, Tick)]


def test_reconcile_says_what_and_why_and_does_it_only_with_apply(
    lost: Attempt, orphan: str, environment: dict[str, str], batch_client: BatchClient
) -> None:
    (overlooked,) = Video.objects.bulk_create([Video(title="overlooked", source="sources/overlooked.mp4")])
    wait_for_status(batch_client, orphan, "RUNNING")
    before = rows()
    said = manage("reconcile", environment=environment)
    assert (said.returncode, said.stdout.splitlines()[0]) == (0, "Would be done:")
    assert (
        f"attempt.fail (job {lost.job_id}, attempt 1) SUBMITTED -> FAILED: The machine under the container went away. AWS: Host EC2"
        in said.stdout
    )
    assert f"terminate Batch job {orphan}: Batchreel: no live attempt has this Batch job" in said.stdout
    assert rows() == before
    assert wait_for_status(batch_client, orphan, "RUNNING")

    done = manage("reconcile", "--apply", environment=environment)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Done:")
    lost.refresh_from_db()
    assert (lost.state, lost.reason, lost.counted) == ("FAILED", Reason.HOST_LOST, False)
    assert Job.objects.get(pk=lost.job_id).state == "RETRY_WAIT"
    assert Job.objects.get(video=overlooked).state == "QUEUED"
    assert wait_for_status(batch_client, orphan, "FAILED")["statusReason"].startswith("Batchreel: no live attempt")

    again = manage("reconcile", "--apply", environment=environment)
    assert again.stdout.strip() == "Rows and AWS Batch agree; there is nothing to do."


@pytest.mark.parametrize(
    ("kind", "operation", "words"),
    [
        ("deny", "DescribeJobs", "AccessDeniedException"),
        ("expired", "DescribeJobs", "ExpiredTokenException"),
        ("deny", "ListJobs", "AccessDeniedException"),
    ],
)
def test_reconcile_changes_nothing_and_says_one_sentence_when_aws_refuses(
    *, kind: str, operation: str, words: str, lost: Attempt, environment: dict[str, str], faults: Faults
) -> None:
    assert lost.batch_job_id
    faults.plant(kind, operation=operation, times=None)
    before = rows()
    ran = manage("reconcile", "--apply", environment=environment)
    assert (ran.returncode, ran.stdout) == (1, "")
    (message,) = [line for line in ran.stderr.splitlines() if " INFO " not in line]
    assert message.startswith(f"CommandError: Not reconciled: {operation} at ")
    assert f"An error occurred ({words})" in message
    assert rows() == before


def test_reconcile_does_the_rest_and_says_so_when_aws_refuses_to_terminate(
    lost: Attempt, orphan: str, environment: dict[str, str], faults: Faults
) -> None:
    faults.plant("deny", operation="TerminateJob", times=None)
    ran = manage("reconcile", "--apply", environment=environment)
    assert ran.returncode == 1, ran.stderr
    assert f"NOT terminated: Batch job {orphan}: TerminateJob" in ran.stdout
    assert "1 Batch jobs were not terminated" in ran.stderr
    lost.refresh_from_db()
    assert lost.state == "FAILED"


def test_reconcile_says_one_sentence_when_the_database_is_away(program_environment: dict[str, str]) -> None:
    ran = manage("reconcile", environment={**program_environment, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"})
    assert ran.returncode == 1
    assert "Not reconciled: the database did not answer" in ran.stderr
