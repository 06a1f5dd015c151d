"""Planted faults: each one reproduces a failure of AWS Batch for unmodified boto3, and is counted."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from project.local.batch.job import CONTAINER_EXITED
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.batch_faults import Faults
    from tests.contract.jobs import Jobs

HOLD_S = 0.3


def faulty_names(jobs: Jobs) -> list[str]:
    """Return the names that start with "faulty" in the test's queue, by ListJobs' filter."""
    filters: Any = [{"name": "JOB_NAME", "values": ["faulty*"]}]
    page = jobs.batch.list_jobs(jobQueue=jobs.queue, filters=filters)
    return sorted(each["jobName"] for each in page["jobSummaryList"])


@pytest.mark.parametrize(
    ("kind", "code", "effects"),
    [
        ("error_before", "ServerException", 0),
        ("error_after", "ServerException", 1),
        ("throttle", "TooManyRequestsException", 0),
        ("deny", "AccessDeniedException", 0),
        ("expired", "ExpiredTokenException", 0),
    ],
)
def test_submit_takes_effect_only_when_the_error_comes_after_it(
    kind: str, code: str, effects: int, jobs: Jobs, faults: Faults
) -> None:
    definition = jobs.define("true")
    fault = faults.inject(kind, operation="SubmitJob", job_name="faulty")
    jobs.submit(jobDefinition=definition, jobName="another")
    with pytest.raises(ClientError) as caught:
        jobs.submit(jobDefinition=definition, jobName="faulty-1")
    assert caught.value.response["Error"]["Code"] == code
    assert (faults.applied(fault), len(faulty_names(jobs))) == (1, effects)
    jobs.submit(jobDefinition=definition, jobName="faulty-2")
    assert len(faulty_names(jobs)) == effects + 1


@pytest.mark.parametrize(
    ("kind", "effects"), [("drop_before", 0), ("drop_after", 1), ("hang_before", 0), ("hang_after", 1)]
)
def test_submit_returns_no_response_when_the_connection_breaks(
    kind: str, effects: int, jobs: Jobs, faults: Faults
) -> None:
    definition = jobs.define("true")
    hold = {"hold_s": HOLD_S} if kind.startswith("hang") else {}
    fault = faults.inject(kind, operation="SubmitJob", **hold)
    began_s = time.monotonic()
    with pytest.raises(BotoCoreError):
        jobs.submit(jobDefinition=definition, jobName="faulty-1")
    assert time.monotonic() - began_s >= hold.get("hold_s", 0)
    assert (faults.applied(fault), len(faulty_names(jobs))) == (1, effects)


def test_reads_omit_jobs_when_their_response_is_empty_or_partial(jobs: Jobs, faults: Faults) -> None:
    ids = [jobs.submit_waiting(name) for name in ("faulty-1", "healthy-1")]
    faults.inject("empty", operation="DescribeJobs")
    assert jobs.batch.describe_jobs(jobs=ids)["jobs"] == []
    faults.inject("empty", operation="ListJobs")
    assert faulty_names(jobs) == []
    assert faulty_names(jobs) == ["faulty-1"]
    partial = faults.inject("partial", operation="DescribeJobs", job_name="faulty")
    jobs.batch.describe_jobs(jobs=ids[1:])
    assert faults.applied(partial) == 0, "a fault that omitted nothing was counted"
    assert [each["jobName"] for each in jobs.batch.describe_jobs(jobs=ids)["jobs"]] == ["healthy-1"]
    assert len(jobs.batch.describe_jobs(jobs=ids)["jobs"]) == len(ids)


def test_vanished_job_is_in_no_response_when_its_process_still_runs(jobs: Jobs, faults: Faults, tmp_path: Path) -> None:
    release_file = tmp_path / "release"
    command = f"echo here; while [ ! -e {release_file} ]; do sleep 0.05; done; rm {release_file}"
    job_id = jobs.submit("sh", "-c", command, jobName="faulty-1")
    jobs.wait_for_lines(job_id, 1)
    fault = faults.inject("vanish", job_id=job_id)
    assert faults.applied(fault) == 1
    assert jobs.batch.describe_jobs(jobs=[job_id])["jobs"] == []
    assert faulty_names(jobs) == []
    jobs.batch.terminate_job(jobId=job_id, reason="unknown to Batch")
    release_file.touch()
    wait_for(lambda: not release_file.exists(), what="the continuation of the vanished job's process")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("spot_reclaim", ("Your Spot Task was interrupted.", None, None)),
        ("host_loss", ("Host EC2 (instance i-0123456789abcdef0) terminated.", None, None)),
        ("out_of_memory", (CONTAINER_EXITED, "OutOfMemoryError: Container killed due to memory usage", 137)),
    ],
)
def test_running_job_fails_with_batchs_reason_when_host_or_memory_fails(
    kind: str, words: tuple[object, ...], jobs: Jobs, faults: Faults
) -> None:
    job_id = jobs.submit("sleep", "60")
    jobs.wait_for_status(job_id, "RUNNING")
    fault = faults.inject(kind, job_id=job_id, hold_s=0.1)
    assert faults.applied(fault) == 1
    job = jobs.wait_for_end(job_id)
    assert job["status"] == "FAILED"
    assert (job["statusReason"], job["container"].get("reason"), job["container"].get("exitCode")) == words


def test_host_loss_is_reported_late_when_the_fault_has_a_hold(jobs: Jobs, faults: Faults) -> None:
    job_id = jobs.submit("sh", "-c", "echo here; sleep 60")
    jobs.wait_for_lines(job_id, 1)
    faults.inject("host_loss", job_id=job_id, hold_s=30)
    assert jobs.describe(job_id)["status"] == "RUNNING"
    faults.reset()
    assert jobs.wait_for_end(job_id)["status"] == "FAILED"


def test_job_fails_without_a_start_when_its_image_cannot_be_pulled(jobs: Jobs, faults: Faults) -> None:
    fault = faults.inject("image_pull", job_name="faulty")
    job = jobs.wait_for_end(jobs.submit("true", jobName="faulty-1"))
    assert (job["status"], job["statusReason"], "startedAt" in job) == ("FAILED", "Task failed to start", False)
    assert job["container"]["reason"].startswith("CannotPullContainerError")
    assert faults.applied(fault) == 1


def test_job_stays_in_starting_until_it_is_terminated_when_its_start_hangs(jobs: Jobs, faults: Faults) -> None:
    faults.inject("start_hang", job_name="faulty")
    job_id = jobs.submit("true", jobName="faulty-1")
    jobs.wait_for_status(job_id, "STARTING")
    assert jobs.wait_for_end(jobs.submit("true", jobName="healthy-1"))["status"] == "SUCCEEDED"
    assert jobs.describe(job_id)["status"] == "STARTING"
    jobs.batch.terminate_job(jobId=job_id, reason="it hangs")
    assert jobs.wait_for_end(job_id)["statusReason"] == "it hangs"


def test_job_stays_runnable_and_blocks_no_other_when_it_is_stuck(jobs: Jobs, faults: Faults) -> None:
    faults.inject("stuck_runnable", job_name="faulty", reason="MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - no")
    job_id = jobs.submit("true", jobName="faulty-1")
    assert jobs.wait_for_end(jobs.submit("true", jobName="healthy-1"))["status"] == "SUCCEEDED"
    job = wait_for(lambda: (found := jobs.describe(job_id)).get("statusReason") and found, what="the reason")
    assert (job["status"], job["statusReason"]) == ("RUNNABLE", "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - no")
    faults.reset()
    assert jobs.wait_for_end(job_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "rain"},
        {"kind": ["deny"]},
        {"kind": "deny"},
        {"kind": "deny", "operation": "DescribeQueues"},
        {"kind": "empty", "operation": "SubmitJob"},
        {"kind": "vanish"},
        {"kind": "vanish", "job_id": "unknown"},
        {"kind": "throttle", "operation": "SubmitJob", "x": 1},
        {"kind": "throttle", "operation": "SubmitJob", "times": "1"},
        {"kind": "throttle", "operation": "SubmitJob", "times": 0},
        {"kind": "hang_after", "operation": "SubmitJob", "hold_s": "1"},
        {"kind": "stuck_runnable", "job_name": None},
    ],
    ids=str,
)
def test_fault_is_rejected_with_a_reason_when_it_is_invalid(document: dict[str, Any], faults: Faults) -> None:
    fields = {name: value for name, value in document.items() if name != "kind"}
    with pytest.raises(AssertionError, match=r"not one of|needs|no field|cannot apply|cannot be applied|, not "):
        faults.inject(document["kind"], **fields)


def test_fault_is_applied_as_often_as_given_when_calls_match(jobs: Jobs, faults: Faults) -> None:
    fault = faults.inject("throttle", operation="DescribeJobs", times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            jobs.batch.describe_jobs(jobs=["unknown"])
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.TOO_MANY_REQUESTS
    jobs.batch.describe_jobs(jobs=["unknown"])
    assert faults.applied(fault) == 2


def test_submit_returns_late_when_it_is_slow(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true")
    faults.inject("slow", operation="SubmitJob", hold_s=HOLD_S)
    began_s = time.monotonic()
    job_id = jobs.submit(jobDefinition=definition, jobName="faulty-1")
    assert time.monotonic() - began_s >= HOLD_S
    assert jobs.wait_for_end(job_id)["status"] == "SUCCEEDED"


def test_submits_are_throttled_when_they_exceed_the_quota(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true")
    fault = faults.inject("quota", operation="SubmitJob", per_s=5)
    began, throttled, calls = time.monotonic(), 0, 30
    for number in range(calls):
        try:
            jobs.submit(jobDefinition=definition, jobName=f"faulty-{number}")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "TooManyRequestsException"  # noqa: PT017 - other calls succeed
            throttled += 1
    allowed = 5 + 5 * (time.monotonic() - began)
    assert calls - throttled <= allowed + 1
    assert throttled == faults.applied(fault) > 0
    assert len(faulty_names(jobs)) == calls - throttled


def test_fault_hits_the_same_calls_when_its_seed_is_the_same(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true")
    rows = []
    for _ in range(2):
        faults.reset()
        faults.inject("error_before", operation="SubmitJob", times=None, share=0.3, seed=4)
        row = []
        for number in range(30):
            try:
                jobs.submit(jobDefinition=definition, jobName=f"faulty-{number}")
                row.append(True)
            except ClientError:
                row.append(False)
        rows.append(row)
    assert rows[0] == rows[1]
    assert 3 <= rows[0].count(False) <= 17
