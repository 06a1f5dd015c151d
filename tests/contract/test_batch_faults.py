"""Planted faults: each does what AWS Batch does when that goes wrong, to unmodified boto3, and is counted."""

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


def names_in(jobs: Jobs) -> list[str]:
    """The names of all jobs in the test's queue, by ListJobs' filter."""
    filters: Any = [{"name": "JOB_NAME", "values": ["faulty*"]}]
    page = jobs.batch.list_jobs(jobQueue=jobs.queue, filters=filters)
    return sorted(each["jobName"] for each in page["jobSummaryList"])


@pytest.mark.parametrize(
    ("kind", "code", "happened"),
    [
        ("error_before", "ServerException", 0),
        ("error_after", "ServerException", 1),
        ("throttle", "TooManyRequestsException", 0),
        ("deny", "AccessDeniedException", 0),
        ("expired", "ExpiredTokenException", 0),
    ],
)
def test_submit_answers_with_the_error_and_has_its_effect_only_when_the_fault_comes_after_it(
    kind: str, code: str, happened: int, jobs: Jobs, faults: Faults
) -> None:
    definition = jobs.define("true")
    fault = faults.plant(kind, operation="SubmitJob", job_name="faulty")
    jobs.submit(jobDefinition=definition, jobName="another")
    with pytest.raises(ClientError) as caught:
        jobs.submit(jobDefinition=definition, jobName="faulty-1")
    assert caught.value.response["Error"]["Code"] == code
    assert (faults.applied(fault), len(names_in(jobs))) == (1, happened)
    jobs.submit(jobDefinition=definition, jobName="faulty-2")
    assert len(names_in(jobs)) == happened + 1


@pytest.mark.parametrize(
    ("kind", "happened"), [("drop_before", 0), ("drop_after", 1), ("hang_before", 0), ("hang_after", 1)]
)
def test_submit_is_left_without_an_answer_when_the_connection_breaks(
    kind: str, happened: int, jobs: Jobs, faults: Faults
) -> None:
    definition = jobs.define("true")
    hold = {"hold_s": HOLD_S} if kind.startswith("hang") else {}
    fault = faults.plant(kind, operation="SubmitJob", **hold)
    began_s = time.monotonic()
    with pytest.raises(BotoCoreError):
        jobs.submit(jobDefinition=definition, jobName="faulty-1")
    assert time.monotonic() - began_s >= hold.get("hold_s", 0)
    assert (faults.applied(fault), len(names_in(jobs))) == (1, happened)


def test_reads_show_less_than_there_is_when_their_answer_is_empty_or_partial(jobs: Jobs, faults: Faults) -> None:
    ids = [jobs.submit_waiting(name) for name in ("faulty-1", "sound-1")]
    faults.plant("empty", operation="DescribeJobs")
    assert jobs.batch.describe_jobs(jobs=ids)["jobs"] == []
    faults.plant("empty", operation="ListJobs")
    assert names_in(jobs) == []
    assert names_in(jobs) == ["faulty-1"]
    partial = faults.plant("partial", operation="DescribeJobs", job_name="faulty")
    jobs.batch.describe_jobs(jobs=ids[1:])
    assert faults.applied(partial) == 0, "nothing was left out"
    assert [each["jobName"] for each in jobs.batch.describe_jobs(jobs=ids)["jobs"]] == ["sound-1"]
    assert len(jobs.batch.describe_jobs(jobs=ids)["jobs"]) == len(ids)


def test_vanished_job_is_in_no_answer_when_its_process_goes_on(jobs: Jobs, faults: Faults, tmp_path: Path) -> None:
    goes_on = tmp_path / "goes-on"
    command = f"echo here; while [ ! -e {goes_on} ]; do sleep 0.05; done; rm {goes_on}"
    job_id = jobs.submit("sh", "-c", command, jobName="faulty-1")
    jobs.wait_for_lines(job_id, 1)
    fault = faults.plant("vanish", job_id=job_id)
    assert faults.applied(fault) == 1
    assert jobs.batch.describe_jobs(jobs=[job_id])["jobs"] == []
    assert names_in(jobs) == []
    jobs.batch.terminate_job(jobId=job_id, reason="nobody listens")
    goes_on.touch()
    wait_for(lambda: not goes_on.exists(), what="the process that nobody knows any more")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("spot_reclaim", ("Your Spot Task was interrupted.", None, None)),
        ("host_loss", ("Host EC2 (instance i-0123456789abcdef0) terminated.", None, None)),
        ("out_of_memory", (CONTAINER_EXITED, "OutOfMemoryError: Container killed due to memory usage", 137)),
    ],
)
def test_running_job_fails_in_batchs_words_when_its_machine_or_memory_goes(
    kind: str, words: tuple[object, ...], jobs: Jobs, faults: Faults
) -> None:
    job_id = jobs.submit("sleep", "60")
    jobs.wait_for_status(job_id, "RUNNING")
    fault = faults.plant(kind, job_id=job_id, hold_s=0.1)
    assert faults.applied(fault) == 1
    job = jobs.wait_for_end(job_id)
    assert job["status"] == "FAILED"
    assert (job["statusReason"], job["container"].get("reason"), job["container"].get("exitCode")) == words


def test_batch_tells_of_a_loss_late_when_it_is_asked_to(jobs: Jobs, faults: Faults) -> None:
    job_id = jobs.submit("sh", "-c", "echo here; sleep 60")
    jobs.wait_for_lines(job_id, 1)
    faults.plant("host_loss", job_id=job_id, hold_s=30)
    assert jobs.describe(job_id)["status"] == "RUNNING"
    faults.reset()
    assert jobs.wait_for_end(job_id)["status"] == "FAILED"


def test_job_fails_without_a_start_when_its_image_cannot_be_pulled(jobs: Jobs, faults: Faults) -> None:
    fault = faults.plant("image_pull", job_name="faulty")
    job = jobs.wait_for_end(jobs.submit("true", jobName="faulty-1"))
    assert (job["status"], job["statusReason"], "startedAt" in job) == ("FAILED", "Task failed to start", False)
    assert job["container"]["reason"].startswith("CannotPullContainerError")
    assert faults.applied(fault) == 1


def test_job_stays_in_starting_until_it_is_terminated_when_its_start_hangs(jobs: Jobs, faults: Faults) -> None:
    faults.plant("start_hang", job_name="faulty")
    job_id = jobs.submit("true", jobName="faulty-1")
    jobs.wait_for_status(job_id, "STARTING")
    assert jobs.wait_for_end(jobs.submit("true", jobName="sound-1"))["status"] == "SUCCEEDED"
    assert jobs.describe(job_id)["status"] == "STARTING"
    jobs.batch.terminate_job(jobId=job_id, reason="it hangs")
    assert jobs.wait_for_end(job_id)["statusReason"] == "it hangs"


def test_job_stays_runnable_with_batchs_reason_and_holds_back_no_other_when_it_is_stuck(
    jobs: Jobs, faults: Faults
) -> None:
    faults.plant("stuck_runnable", job_name="faulty", reason="MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - no")
    job_id = jobs.submit("true", jobName="faulty-1")
    assert jobs.wait_for_end(jobs.submit("true", jobName="sound-1"))["status"] == "SUCCEEDED"
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
        {"kind": "vanish", "job_id": "nobody's"},
        {"kind": "throttle", "operation": "SubmitJob", "x": 1},
        {"kind": "throttle", "operation": "SubmitJob", "times": "1"},
        {"kind": "throttle", "operation": "SubmitJob", "times": 0},
        {"kind": "hang_after", "operation": "SubmitJob", "hold_s": "1"},
        {"kind": "stuck_runnable", "job_name": None},
    ],
    ids=str,
)
def test_fault_that_cannot_be_is_refused_with_a_sentence(document: dict[str, Any], faults: Faults) -> None:
    fields = {name: value for name, value in document.items() if name != "kind"}
    with pytest.raises(AssertionError, match=r"none|needs|no field|not known|, not "):
        faults.plant(document["kind"], **fields)


def test_fault_happens_as_often_as_it_was_asked_to(jobs: Jobs, faults: Faults) -> None:
    fault = faults.plant("throttle", operation="DescribeJobs", times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            jobs.batch.describe_jobs(jobs=["nobody's"])
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.TOO_MANY_REQUESTS
    jobs.batch.describe_jobs(jobs=["nobody's"])
    assert faults.applied(fault) == 2


def test_submit_is_answered_late_when_it_is_slow(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true")
    faults.plant("slow", operation="SubmitJob", hold_s=HOLD_S)
    began_s = time.monotonic()
    job_id = jobs.submit(jobDefinition=definition, jobName="faulty-1")
    assert time.monotonic() - began_s >= HOLD_S
    assert jobs.wait_for_end(job_id)["status"] == "SUCCEEDED"


def test_submits_beyond_the_quota_are_throttled_when_there_is_one(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true")
    fault = faults.plant("quota", operation="SubmitJob", per_s=5)
    began, throttled, calls = time.monotonic(), 0, 30
    for number in range(calls):
        try:
            jobs.submit(jobDefinition=definition, jobName=f"faulty-{number}")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "TooManyRequestsException"  # noqa: PT017 - others come through
            throttled += 1
    allowed = 5 + 5 * (time.monotonic() - began)
    assert calls - throttled <= allowed + 1
    assert throttled == faults.applied(fault) > 0
    assert len(names_in(jobs)) == calls - throttled


def test_the_same_calls_go_wrong_when_the_seed_is_the_same(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true")
    rows = []
    for _ in range(2):
        faults.reset()
        faults.plant("error_before", operation="SubmitJob", times=None, share=0.3, seed=4)
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
