"""DescribeJobs and ListJobs: limits, pages and filters; and reading the log while a job runs."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.jobs import Jobs


def names(page: dict[str, Any]) -> list[str]:
    return [job["jobName"] for job in page["jobSummaryList"]]


def test_describe_is_rejected_when_it_names_more_than_100_ids(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="Maximum number of jobs supported is 100") as refused:
        jobs.batch.describe_jobs(jobs=[str(uuid.uuid4()) for _ in range(101)])
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_describe_is_rejected_when_it_names_no_ids(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="ClientException"):
        jobs.batch.describe_jobs(jobs=[])


def test_describe_omits_ids_when_they_are_unknown(jobs: Jobs) -> None:
    known = jobs.submit_waiting("known")
    response = jobs.batch.describe_jobs(jobs=[str(uuid.uuid4()), known, *(str(uuid.uuid4()) for _ in range(98))])
    assert [job["jobId"] for job in response["jobs"]] == [known]


def test_list_shows_running_jobs_when_no_status_is_given(jobs: Jobs) -> None:
    running = jobs.submit("sleep", "600", jobName="running")
    jobs.wait_for_status(running, "RUNNING")
    waiting = jobs.submit_waiting("waiting")
    jobs.wait_for_status(waiting, "RUNNABLE")
    [summary] = jobs.batch.list_jobs(jobQueue=jobs.queue)["jobSummaryList"]
    assert (summary["jobId"], summary["jobName"], summary["status"]) == (running, "running", "RUNNING")
    assert summary["startedAt"] >= summary["createdAt"]
    assert names(jobs.batch.list_jobs(jobQueue=jobs.queue, jobStatus="RUNNABLE")) == ["waiting"]


def test_list_shows_the_exit_code_and_reason_when_a_job_has_failed(jobs: Jobs) -> None:
    jobs.wait_for_end(jobs.submit("sh", "-c", "exit 4"))
    [summary] = jobs.batch.list_jobs(jobQueue=jobs.queue, jobStatus="FAILED")["jobSummaryList"]
    assert summary["container"]["exitCode"] == 4
    assert summary["statusReason"] == "Essential container in task exited"
    assert summary["stoppedAt"] >= summary["startedAt"]


def test_list_ignores_status_and_case_when_it_filters_by_name(jobs: Jobs) -> None:
    jobs.wait_for_end(jobs.submit("true", jobName="Reel-1"))
    for name in ("reel-10", "other-1"):
        jobs.submit_waiting(name)

    def found(value: str) -> list[str]:
        response = jobs.batch.list_jobs(
            jobQueue=jobs.queue, jobStatus="FAILED", filters=[{"name": "JOB_NAME", "values": [value]}]
        )
        return names(response)

    assert found("REEL-1") == ["Reel-1"]
    assert found("reel-*") == ["reel-10", "Reel-1"]
    assert found("reel") == []
    assert found("*") == ["other-1", "reel-10", "Reel-1"]


def test_list_pages_neither_repeat_nor_omit_jobs_when_new_ones_arrive(jobs: Jobs) -> None:
    for number in range(7):
        jobs.submit_waiting(f"old-{number}")
    request: dict[str, Any] = {
        "jobQueue": jobs.queue,
        "filters": [{"name": "JOB_NAME", "values": ["*"]}],
        "maxResults": 3,
    }
    page = jobs.batch.list_jobs(**request)
    seen = names(page)
    while "nextToken" in page:
        jobs.submit_waiting("newer")
        page = jobs.batch.list_jobs(**request, nextToken=page["nextToken"])
        seen += names(page)
    assert seen == [f"old-{number}" for number in reversed(range(7))]


def test_list_is_rejected_when_queue_status_token_or_filter_are_invalid(jobs: Jobs) -> None:
    for request in (
        {"jobQueue": "nowhere"},
        {"jobQueue": jobs.queue, "jobStatus": "ASLEEP"},
        {"jobQueue": jobs.queue, "nextToken": "made up"},
        {"jobQueue": jobs.queue, "filters": [{"name": "SHARE_IDENTIFIER", "values": ["x"]}]},
        {"jobQueue": jobs.queue, "filters": [{"name": "JOB_NAME", "values": ["x", "y"]}]},
    ):
        with pytest.raises(ClientError, match="ClientException"):
            jobs.batch.list_jobs(**request)  # type: ignore[arg-type]  # the stubs forbid some of these


def test_output_can_be_read_line_by_line_when_the_job_still_runs(jobs: Jobs) -> None:
    script = "printf 'eins\\nzw'; printf '\\303\\266lf\\n\\377\\n' >&2; sleep 600"
    job_id = jobs.submit("sh", "-c", script)
    wait_for(lambda: len(jobs.lines_of(job_id)) == 3, what="three lines")
    assert jobs.lines_of(job_id) == ["eins", "zwölf", "\N{REPLACEMENT CHARACTER}"]
    assert jobs.describe(job_id)["status"] == "RUNNING"


def test_output_goes_to_the_log_group_when_the_definition_names_one(jobs: Jobs) -> None:
    options = {"awslogs-group": "/batchreel/transcode", "awslogs-stream-prefix": "reel"}
    definition = jobs.define(
        "echo", "here", container={"logConfiguration": {"logDriver": "awslogs", "options": options}}
    )
    stream = jobs.wait_for_end(jobs.submit(jobDefinition=definition))["container"]["logStreamName"]
    assert stream.startswith("reel/default/")
    response = jobs.logs.get_log_events(logGroupName="/batchreel/transcode", logStreamName=stream)
    assert [event["message"] for event in response["events"]] == ["here"]


def test_requests_succeed_when_16_clients_call_concurrently(jobs: Jobs) -> None:
    def one_client(number: int) -> list[str]:
        job_ids = []
        for turn in range(12):
            job_ids.append(jobs.submit_waiting(f"client-{number}-{turn}"))
            jobs.batch.describe_jobs(jobs=job_ids)
            jobs.batch.list_jobs(jobQueue=jobs.queue, jobStatus="RUNNABLE")
            jobs.batch.describe_job_queues()
            if turn % 3 == 0:
                jobs.batch.terminate_job(jobId=job_ids[-1], reason="every third")
        jobs.submit("true", jobName=f"client-{number}-real")
        return job_ids

    with ThreadPoolExecutor(16) as clients:
        every_id = [job_id for ids in clients.map(one_client, range(16)) for job_id in ids]
    assert len(set(every_id)) == 16 * 12
    filters = [{"name": "JOB_NAME", "values": ["client-*"]}]
    seen: list[Any] = []
    for page in jobs.batch.get_paginator("list_jobs").paginate(jobQueue=jobs.queue, filters=filters):
        seen += page["jobSummaryList"]
    assert len(seen) == 16 * 13


def test_log_continues_when_its_group_is_deleted_during_the_job(jobs: Jobs, tmp_path: Path) -> None:
    group = {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/batchreel/deleted"}}}
    script = f"echo before; echo; while [ ! -e '{tmp_path}/go' ]; do sleep 0.02; done; echo after"
    job_id = jobs.submit(jobDefinition=jobs.define("sh", "-c", script, container=group))
    stream = jobs.wait_for_status(job_id, "RUNNING")["container"]["logStreamName"]

    def lines() -> list[str]:
        response = jobs.logs.get_log_events(logGroupName="/batchreel/deleted", logStreamName=stream)
        return [event["message"] for event in response["events"]]

    wait_for(lambda: lines() == ["before"], what="the first line")
    jobs.logs.delete_log_group(logGroupName="/batchreel/deleted")
    (tmp_path / "go").touch()
    assert jobs.wait_for_end(job_id)["status"] == "SUCCEEDED"
    assert lines() == ["after"]
