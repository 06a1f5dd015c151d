"""What our job plane has in common with moto's, over the same unmodified boto3: one suite, two endpoints.

moto is an independent interpretation of AWS. docs/adr/0005 explains where ours deviates from it on
purpose.
"""

from __future__ import annotations

import http.client
import json
import os
import uuid
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from project.local.aws.resources import aws_environment, ensure_job_queue
from project.local.servers.ports import free_port
from tests.contract.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUSES = {"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"}


@pytest.fixture(scope="module")
def plain_moto() -> Iterator[str]:
    """Yield the URL of an unmodified moto server without Docker: a job ends within the request that submits it."""
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    settings = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    settings.request("POST", "/moto-api/config", body=json.dumps({"batch": {"use_docker": False}}))
    assert settings.getresponse().status == http.client.CREATED
    settings.close()
    environment = aws_environment(port)
    ensure_job_queue(environment)
    yield environment["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture(params=["ours", "moto"])
def endpoint_jobs(request: pytest.FixtureRequest) -> Iterator[Jobs]:
    endpoint = os.environ["AWS_ENDPOINT_URL"] if request.param == "ours" else request.getfixturevalue("plain_moto")
    jobs = Jobs(boto3.client("batch", endpoint_url=endpoint), boto3.client("logs", endpoint_url=endpoint))
    yield jobs
    jobs.end()


def test_submitted_job_has_the_requested_values_when_it_is_described(endpoint_jobs: Jobs) -> None:
    definition = endpoint_jobs.define("true")
    response = endpoint_jobs.batch.submit_job(
        jobName="reel-1",
        jobQueue=endpoint_jobs.queue,
        jobDefinition=definition,
        parameters={"job_id": "7"},
        containerOverrides={"environment": [{"name": "VIDEO_JOB_ID", "value": "7"}]},
    )
    assert (response["jobName"], response["jobArn"].rpartition("/")[2]) == ("reel-1", response["jobId"])
    (job,) = endpoint_jobs.batch.describe_jobs(jobs=[response["jobId"]])["jobs"]
    assert (job["jobId"], job["jobName"]) == (response["jobId"], "reel-1")
    assert job["jobDefinition"].rpartition("/")[2].startswith(definition)
    assert endpoint_jobs.queue in job["jobQueue"]
    assert job["status"] in STATUSES
    assert {"name": "VIDEO_JOB_ID", "value": "7"} in job["container"]["environment"]


def test_job_is_listed_when_jobs_are_filtered_by_its_name(endpoint_jobs: Jobs) -> None:
    name = f"reel-{uuid.uuid4().hex[:8]}"
    ids = {endpoint_jobs.submit("true", jobName=name), endpoint_jobs.submit("true", jobName=name)}
    endpoint_jobs.submit("true", jobName="another")
    found = endpoint_jobs.batch.list_jobs(
        jobQueue=endpoint_jobs.queue, filters=[{"name": "JOB_NAME", "values": [name]}]
    )
    assert {job["jobId"] for job in found["jobSummaryList"]} == ids
    assert {job["jobName"] for job in found["jobSummaryList"]} == {name}
    assert all(job["status"] in STATUSES and job["createdAt"] > 1e12 for job in found["jobSummaryList"])


def test_job_succeeds_on_both_endpoints_when_its_command_succeeds(endpoint_jobs: Jobs) -> None:
    job = endpoint_jobs.wait_for_end(endpoint_jobs.submit("true"))
    assert job["status"] == "SUCCEEDED"
    assert job["stoppedAt"] >= job["createdAt"] > 1e12


def test_describe_returns_known_jobs_only_when_an_id_is_unknown(endpoint_jobs: Jobs) -> None:
    known = endpoint_jobs.submit("true")
    response = endpoint_jobs.batch.describe_jobs(jobs=[str(uuid.uuid4()), known])
    assert [job["jobId"] for job in response["jobs"]] == [known]


def test_terminate_raises_no_error_when_the_job_has_ended(endpoint_jobs: Jobs) -> None:
    job_id = endpoint_jobs.submit("true")
    endpoint_jobs.wait_for_end(job_id)
    endpoint_jobs.batch.terminate_job(jobId=job_id, reason="late")
    assert endpoint_jobs.describe(job_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("what", ["jobQueue", "jobDefinition"])
def test_submit_is_rejected_when_queue_or_definition_do_not_exist(what: str, endpoint_jobs: Jobs) -> None:
    request = {"jobQueue": endpoint_jobs.queue, "jobDefinition": endpoint_jobs.define("true"), what: "nowhere"}
    with pytest.raises(ClientError) as refused:
        endpoint_jobs.batch.submit_job(jobName="job", **request)
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_newest_revision_is_used_when_a_definition_is_named_without_one(endpoint_jobs: Jobs) -> None:
    definition = endpoint_jobs.define("true")
    endpoint_jobs.define("true", name=definition)
    job = endpoint_jobs.describe(endpoint_jobs.submit(jobDefinition=definition))
    assert job["jobDefinition"].endswith(f"/{definition}:2")
