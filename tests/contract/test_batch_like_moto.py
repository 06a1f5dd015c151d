"""What our job plane has in common with moto's own, over the same unmodified boto3: one suite, two endpoints.

moto's answers are somebody else's reading of AWS. Where ours departs from it on purpose, docs/adr/0005 says why.
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
    """moto's server as it comes, without Docker: a job is done within the request that submits it."""
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
def either(request: pytest.FixtureRequest) -> Iterator[Jobs]:
    endpoint = os.environ["AWS_ENDPOINT_URL"] if request.param == "ours" else request.getfixturevalue("plain_moto")
    jobs = Jobs(boto3.client("batch", endpoint_url=endpoint), boto3.client("logs", endpoint_url=endpoint))
    yield jobs
    jobs.end()


def test_submitted_job_is_known_by_what_was_said_of_it(either: Jobs) -> None:
    definition = either.define("true")
    answer = either.batch.submit_job(
        jobName="reel-1",
        jobQueue=either.queue,
        jobDefinition=definition,
        parameters={"job_id": "7"},
        containerOverrides={"environment": [{"name": "VIDEO_JOB_ID", "value": "7"}]},
    )
    assert (answer["jobName"], answer["jobArn"].rpartition("/")[2]) == ("reel-1", answer["jobId"])
    (job,) = either.batch.describe_jobs(jobs=[answer["jobId"]])["jobs"]
    assert (job["jobId"], job["jobName"]) == (answer["jobId"], "reel-1")
    assert job["jobDefinition"].rpartition("/")[2].startswith(definition)
    assert either.queue in job["jobQueue"]
    assert job["status"] in STATUSES
    assert {"name": "VIDEO_JOB_ID", "value": "7"} in job["container"]["environment"]


def test_job_is_listed_when_looked_for_by_its_name(either: Jobs) -> None:
    name = f"reel-{uuid.uuid4().hex[:8]}"
    ids = {either.submit("true", jobName=name), either.submit("true", jobName=name)}
    either.submit("true", jobName="another")
    found = either.batch.list_jobs(jobQueue=either.queue, filters=[{"name": "JOB_NAME", "values": [name]}])
    assert {job["jobId"] for job in found["jobSummaryList"]} == ids
    assert {job["jobName"] for job in found["jobSummaryList"]} == {name}
    assert all(job["status"] in STATUSES and job["createdAt"] > 1e12 for job in found["jobSummaryList"])


def test_job_ends_well_when_its_command_does(either: Jobs) -> None:
    job = either.wait_for_end(either.submit("true"))
    assert job["status"] == "SUCCEEDED"
    assert job["stoppedAt"] >= job["createdAt"] > 1e12


def test_ids_are_left_out_when_they_are_not_known(either: Jobs) -> None:
    known = either.submit("true")
    answer = either.batch.describe_jobs(jobs=[str(uuid.uuid4()), known])
    assert [job["jobId"] for job in answer["jobs"]] == [known]


def test_ending_a_job_is_no_error_when_it_is_over(either: Jobs) -> None:
    job_id = either.submit("true")
    either.wait_for_end(job_id)
    either.batch.terminate_job(jobId=job_id, reason="late")
    assert either.describe(job_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("what", ["jobQueue", "jobDefinition"])
def test_submit_is_refused_when_it_names_what_is_not_there(what: str, either: Jobs) -> None:
    request = {"jobQueue": either.queue, "jobDefinition": either.define("true"), what: "nowhere"}
    with pytest.raises(ClientError) as refused:
        either.batch.submit_job(jobName="job", **request)
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_newest_revision_is_meant_when_a_definition_is_named_without_one(either: Jobs) -> None:
    definition = either.define("true")
    either.define("true", name=definition)
    job = either.describe(either.submit(jobDefinition=definition))
    assert job["jobDefinition"].endswith(f"/{definition}:2")
