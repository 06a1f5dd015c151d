"""Lasting and random faults in the local AWS Batch, from a plan with one seed that is set over HTTP while it runs."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.polling import wait_for

if TYPE_CHECKING:
    from tests.batch_faults import Faults
    from tests.contract.jobs import Jobs

LONG_S = 600


def listed_names(jobs: Jobs) -> list[str]:
    page = jobs.batch.list_jobs(jobQueue=jobs.queue, filters=[{"name": "JOB_NAME", "values": ["*"]}])
    return sorted(job["jobName"] for job in page["jobSummaryList"])


def test_list_shows_a_job_late_when_it_lags(jobs: Jobs, faults: Faults) -> None:
    lag = faults.inject("lag", operation="ListJobs", hold_s=LONG_S)
    job_id = jobs.submit_waiting("young")
    assert listed_names(jobs) == []
    assert jobs.describe(job_id)["jobName"] == "young", "DescribeJobs does not lag"
    assert faults.applied(lag) == 1
    faults.reset()
    faults.inject("lag", operation="ListJobs", hold_s=0)
    assert listed_names(jobs) == ["young"]


def test_ended_job_is_forgotten_when_its_retention_is_over(jobs: Jobs, faults: Faults) -> None:
    ended, waiting = jobs.submit("true", jobName="over"), jobs.submit_waiting("waiting")
    jobs.wait_for_end(ended)
    for operation in ("DescribeJobs", "ListJobs"):
        faults.inject("retention", operation=operation, hold_s=0)
    wait_for(lambda: listed_names(jobs) == ["waiting"], what="the end of the job's retention")
    assert [job["jobName"] for job in jobs.batch.describe_jobs(jobs=[ended, waiting])["jobs"]] == ["waiting"]


def test_lag_and_partial_faults_act_separately_when_both_are_planted(jobs: Jobs, faults: Faults) -> None:
    jobs.submit_waiting("hidden")
    jobs.submit_waiting("shown")
    lag = faults.inject("lag", operation="ListJobs", hold_s=0)
    partial = faults.inject("partial", operation="ListJobs", job_name="hidden", times=None)
    assert listed_names(jobs) == ["shown"]
    assert (faults.applied(lag), faults.applied(partial)) == (0, 1)


def test_share_of_running_jobs_ends_when_spot_reclaims_their_hosts(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("sleep", "600", vcpus="0.25")
    ids = [jobs.submit(jobDefinition=definition) for _ in range(12)]
    for job_id in ids:
        jobs.wait_for_status(job_id, "RUNNING")
    storm = faults.inject("reclaim_storm", share=0.5, seed=3)
    struck = faults.applied(storm)
    assert 0 < struck < len(ids)
    wait_for(
        lambda: _ends(jobs, ids)["Your Spot Task was interrupted."] == struck, what="the end of the reclaimed jobs"
    )
    assert Counter(job["status"] for job in jobs.batch.describe_jobs(jobs=ids)["jobs"])["RUNNING"] == len(ids) - struck


def _ends(jobs: Jobs, ids: list[str]) -> Counter[str]:
    return Counter(job.get("statusReason", "") for job in jobs.batch.describe_jobs(jobs=ids)["jobs"])


def test_job_stays_in_starting_for_a_while_when_starts_are_slow(jobs: Jobs, faults: Faults) -> None:
    slow = faults.inject("slow_start", job_name="slow", hold_s=LONG_S, times=None)
    job_id = jobs.submit("true", jobName="slow-1")
    jobs.wait_for_status(job_id, "STARTING")
    assert jobs.wait_for_end(jobs.submit("true", jobName="quick-1"))["status"] == "SUCCEEDED"
    assert (jobs.describe(job_id)["status"], faults.applied(slow)) == ("STARTING", 1)
    faults.reset()
    assert jobs.wait_for_end(job_id)["status"] == "SUCCEEDED"


def test_calls_beyond_the_quota_are_throttled_when_many_submit_at_once(jobs: Jobs, faults: Faults) -> None:
    definition = jobs.define("true", vcpus="64")
    quota = faults.inject("quota", operation="SubmitJob", per_s=50)

    def submit(_: int) -> str:
        try:
            jobs.submit(jobDefinition=definition)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "submitted"

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(submit, range(150)))
    assert outcomes.keys() <= {"submitted", "TooManyRequestsException"}
    assert faults.applied(quota) == outcomes["TooManyRequestsException"] > 0
    assert outcomes["submitted"] >= 50


def submit_outcomes(jobs: Jobs, faults: Faults, seed: int) -> list[str]:
    """Plant several faults with one seed, and return the outcomes of forty SubmitJob calls."""
    faults.reset()
    faults.inject_all(
        seed,
        [
            {"kind": "error_before", "operation": "SubmitJob", "times": None, "share": 0.2},
            {"kind": "drop_before", "operation": "SubmitJob", "times": None, "share": 0.2},
        ],
    )
    definition = jobs.define("true", vcpus="64")
    outcomes = []
    for _ in range(40):
        try:
            jobs.submit(jobDefinition=definition)
        except (ClientError, BotoCoreError) as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("submitted")
    return outcomes


def test_fault_plan_hits_the_same_calls_when_its_seed_is_the_same(jobs: Jobs, faults: Faults) -> None:
    first, again, other = (submit_outcomes(jobs, faults, seed) for seed in (5, 5, 6))
    assert first == again != other
    assert len(set(first)) == 3, "an error, a dropped connection and a success"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"seed": 1, "faults": {"kind": "empty"}}, "list"),
        ({"seed": "one", "faults": []}, "seed"),
        ({"faults": [{"kind": "lag", "operation": "ListJobs"}]}, "hold_s"),
        ({"faults": [{"kind": "reclaim_storm", "job_id": "1"}]}, "job_id"),
    ],
)
def test_fault_plan_is_rejected_with_the_reason_when_it_is_invalid(
    wrong: dict[str, object], word: str, faults: Faults
) -> None:
    with pytest.raises(AssertionError, match=word):
        faults.request("POST", wrong)
    assert faults.request("GET")["faults"] == []


@pytest.mark.parametrize(
    ("operation", "statuses"), [("terminate_jobs", {"FAILED"}), ("cancel_jobs", {"FAILED", "RUNNING"})]
)
def test_several_jobs_end_when_one_call_names_them(operation: str, statuses: set[str], jobs: Jobs) -> None:
    running, waiting = jobs.submit("sleep", "600"), jobs.submit_waiting()
    jobs.wait_for_status(running, "RUNNING")
    unknown = "0" * 36
    response = getattr(jobs.batch, operation)(jobs=[running, waiting, unknown], reason="all of them")
    assert (response["successful"], response["errors"]) == ([running, waiting, unknown], [])
    assert jobs.wait_for_end(waiting)["statusReason"] == "all of them"
    if statuses == {"FAILED"}:
        assert jobs.wait_for_end(running)["statusReason"] == "all of them"
    assert {job["status"] for job in jobs.batch.describe_jobs(jobs=[running, waiting])["jobs"]} == statuses


def test_terminate_jobs_is_rejected_when_it_names_more_than_fifty(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="50"):
        jobs.batch.terminate_jobs(jobs=[str(number) for number in range(51)], reason="too many")
