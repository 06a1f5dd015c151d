"""SubmitJob: which requests it rejects, and how definition, parameters and overrides become a container."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.contract.jobs import Jobs

SHOW = ("python", "-c", "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))")


def refusal(jobs: Jobs, **request: Any) -> str:
    """Return the message with which Batch rejects a SubmitJob request."""
    with pytest.raises(ClientError) as refused:
        jobs.submit("true", **request)
    assert refused.value.response["Error"]["Code"] == "ClientException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("name", ["-starts-with-a-hyphen", "has a space", "a" * 129, "dotted.name", "ümlaut", "a\n"])
def test_submit_is_rejected_when_the_job_name_is_invalid(jobs: Jobs, name: str) -> None:
    assert refusal(jobs, jobName=name) == "Job name should match valid pattern"


def test_submit_is_accepted_when_the_job_name_has_128_characters(jobs: Jobs) -> None:
    assert jobs.submit("true", jobName="a" + "-_9" * 42 + "b")


def test_submit_is_rejected_when_its_queue_is_unknown(jobs: Jobs) -> None:
    assert refusal(jobs, jobQueue="nowhere") == "JobQueue nowhere not found."


def test_submit_is_rejected_when_its_queue_is_disabled(jobs: Jobs) -> None:
    assert "ENABLED" in refusal(jobs, jobQueue=jobs.make_queue(state="DISABLED"))


@pytest.mark.parametrize("identifier", ["nothing", "nothing:3", "nothing:x"])
def test_submit_is_rejected_when_its_definition_is_unknown(jobs: Jobs, identifier: str) -> None:
    assert refusal(jobs, jobDefinition=identifier).endswith("does not exist or is not in ACTIVE status")


def test_submit_is_rejected_when_its_definition_is_inactive(jobs: Jobs) -> None:
    name = jobs.define("true")
    arn = jobs.batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"][0]["jobDefinitionArn"]
    jobs.batch.deregister_job_definition(jobDefinition=arn)
    assert refusal(jobs, jobDefinition=name).endswith("does not exist or is not in ACTIVE status")
    assert refusal(jobs, jobDefinition=f"{name}:1").endswith("does not exist or is not in ACTIVE status")
    assert refusal(jobs, jobDefinition=arn) == f"JobDefinition {arn} not found."


def test_latest_active_revision_runs_when_submit_names_no_revision(jobs: Jobs) -> None:
    name = jobs.define("true")
    for _ in range(2):
        jobs.define("true", name=name)
    jobs.batch.deregister_job_definition(jobDefinition=f"{name}:3")
    arn = jobs.describe(jobs.submit(jobDefinition=name))["jobDefinition"]
    assert arn.endswith(f"job-definition/{name}:2")
    assert jobs.describe(jobs.submit(jobDefinition=f"{name}:1"))["jobDefinition"].endswith(f"{name}:1")
    assert jobs.describe(jobs.submit(jobDefinition=arn))["jobDefinition"] == arn


def test_submit_is_rejected_when_its_payload_exceeds_30_kib(jobs: Jobs) -> None:
    assert "30720" in refusal(jobs, parameters={"text": "x" * 30 * 1024})
    assert jobs.submit("true", parameters={"text": "x" * 30 * 1000})


def test_submit_is_rejected_when_its_timeout_is_below_60_s(jobs: Jobs) -> None:
    assert "60" in refusal(jobs, timeout={"attemptDurationSeconds": 59})
    assert jobs.submit("true", timeout={"attemptDurationSeconds": 60})


@pytest.mark.parametrize("attempts", [0, 11])
def test_submit_is_rejected_when_its_attempts_are_not_1_to_10(jobs: Jobs, attempts: int) -> None:
    assert "between 1 and 10" in refusal(jobs, retryStrategy={"attempts": attempts})


def test_submit_is_rejected_when_it_has_more_than_five_exit_rules(jobs: Jobs) -> None:
    rules = [{"onExitCode": str(code), "action": "EXIT"} for code in range(6)]
    assert "at most 5" in refusal(jobs, retryStrategy={"attempts": 2, "evaluateOnExit": rules})


@pytest.mark.parametrize("vcpus", ["0", "-1", "many", "nan"])
def test_submit_is_rejected_when_its_vcpus_are_not_a_positive_number(jobs: Jobs, vcpus: str) -> None:
    overrides = {"resourceRequirements": [{"type": "VCPU", "value": vcpus}]}
    assert "VCPU" in refusal(jobs, containerOverrides=overrides)


def test_submit_is_rejected_when_it_needs_features_of_the_real_batch(jobs: Jobs) -> None:
    assert "arrayProperties" in refusal(jobs, arrayProperties={"size": 2})


def test_references_are_replaced_when_parameters_are_given(jobs: Jobs) -> None:
    definition = jobs.define(
        *SHOW,
        *("Ref::job_id", "Ref::attempt", "--rung=Ref::rung", "Ref::rung/Ref::attempt", "Ref::nobody"),
        parameters={"rung": "720p", "attempt": "1"},
    )
    job_id = jobs.submit(jobDefinition=definition, parameters={"job_id": "41", "attempt": "2"})
    job = jobs.wait_for_end(job_id)
    shown, _ = json.loads(jobs.lines_of(job_id)[0])
    assert shown == ["41", "2", "--rung=720p", "720p/2", "Ref::nobody"]
    assert job["container"]["command"][-5:] == shown
    assert job["parameters"] == {"rung": "720p", "attempt": "2", "job_id": "41"}


def test_overrides_win_when_the_definition_differs(jobs: Jobs) -> None:
    definition = jobs.define(
        "false",
        container={
            "environment": [{"name": "KEPT", "value": "definition"}, {"name": "CHANGED", "value": "definition"}]
        },
    )
    job_id = jobs.submit(
        jobDefinition=definition,
        containerOverrides={
            "command": [*SHOW, "Ref::word"],
            "environment": [{"name": "CHANGED", "value": "override"}, {"name": "VIDEO_JOB_ID", "value": "7"}],
            "resourceRequirements": [{"type": "MEMORY", "value": "1024"}],
        },
        parameters={"word": "overridden"},
    )
    job = jobs.wait_for_end(job_id)
    shown, environment = json.loads(jobs.lines_of(job_id)[0])
    assert job["status"] == "SUCCEEDED"
    assert shown == ["overridden"]
    wanted = {"KEPT": "definition", "CHANGED": "override", "VIDEO_JOB_ID": "7"}
    assert {name: environment[name] for name in wanted} == wanted
    assert {pair["name"]: pair["value"] for pair in job["container"]["environment"]} == wanted
    resources = {entry["type"]: entry["value"] for entry in job["container"]["resourceRequirements"]}
    assert resources == {"VCPU": "1", "MEMORY": "1024"}


def test_container_has_the_variables_of_its_job_when_it_starts(jobs: Jobs) -> None:
    job_id = jobs.submit(*SHOW)
    jobs.wait_for_end(job_id)
    _, environment = json.loads(jobs.lines_of(job_id)[0])
    assert environment["AWS_BATCH_JOB_ID"] == job_id
    assert environment["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert environment["AWS_BATCH_JQ_NAME"] == environment["AWS_BATCH_CE_NAME"] == jobs.queue
    # What the image and the definition's secrets provide in production:
    assert environment["DATABASE_URL"].startswith("postgres://")
    assert environment["REDIS_URL"].startswith("redis://")
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
