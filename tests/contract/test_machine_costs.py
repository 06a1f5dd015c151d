"""The cost of a job on an account with machines: the local endpoint's EC2, ECS and prices, through unmodified boto3."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from django.db.models.functions import Now

from tasks.batch.aws import aws_batch
from tasks.batch.machines import _hourly_prices, aws_machines
from tasks.models import Attempt, Job
from tasks.selectors.costs import costs_of, describe
from tasks.services.costs.ended import work_out_costs
from tasks.services.state.observation import apply_observation
from tests.factories import age, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.contract.jobs import Jobs

pytestmark = pytest.mark.django_db

STARTED = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.fixture
def queues(jobs: Jobs, settings: Settings) -> dict[str, str]:
    """Return the names of a queue with Spot machines and one with On-Demand machines, which are the site's."""
    names = {kind: make_queue(jobs, kind) for kind in ("SPOT", "EC2")}
    settings.BATCHREEL = {"job_queue": names["EC2"], "helper_queue": names["SPOT"]}
    return names


def make_queue(jobs: Jobs, kind: str) -> str:
    name = f"machines-{uuid.uuid4().hex[:12]}"
    like = jobs.batch.describe_compute_environments(computeEnvironments=["batchreel"])["computeEnvironments"][0]
    resources: Any = {
        "type": kind,
        "minvCpus": 0,
        "maxvCpus": 16,
        "instanceTypes": ["m6a.xlarge"],
        "subnets": like["computeResources"]["subnets"][:1],
        "securityGroupIds": like["computeResources"]["securityGroupIds"][:1],
        "instanceRole": instance_profile(name),
    }
    jobs.batch.create_compute_environment(
        computeEnvironmentName=name, type="MANAGED", serviceRole=like["serviceRole"], computeResources=resources
    )
    order: Any = [{"order": 1, "computeEnvironment": name}]
    jobs.batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    return name


def instance_profile(name: str) -> str:
    return boto3.client("iam").create_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"]


def attempt_of(job: Job, number: int, batch_job_id: str, **columns: Any) -> Attempt:
    return Attempt.objects.create(
        job=job,
        number=number,
        batch_job_id=batch_job_id,
        batch_job_name=f"batchreel-{job.pk}-{number}",
        vcpus=2,
        memory_mib=3500,
        timeout_s=3600,
        ended_at=Now(),
        **columns,
    )


def test_job_costs_what_is_worked_out_by_hand_when_machines_differ_and_one_is_reclaimed(
    jobs: Jobs, queues: dict[str, str]
) -> None:
    job = Job.objects.get(video=uploaded_video())
    failed: dict[str, Any] = {"state": "FAILED", "counted": False}
    succeeded: dict[str, Any] = {"state": "SUCCEEDED", "counted": False, "finished_work_s": 1.0}
    plan: list[tuple[str, timedelta, dict[str, Any]]] = [
        # A lead that finished 300 slot seconds of work and lost 100, when AWS took its machine back.
        (
            "SPOT",
            timedelta(minutes=10),
            {**failed, "reason": "SPOT_INTERRUPTION", "finished_work_s": 300, "lost_work_s": 100},
        ),
        # A lead that failed with three quarters of its work unfinished, and its helper, which did its part.
        (
            "SPOT",
            timedelta(minutes=30),
            {**failed, "reason": "EXIT_CODE", "finished_work_s": 900, "lost_work_s": 2700},
        ),
        ("SPOT", timedelta(minutes=15), {**succeeded, "helps": 2}),
        # The last round: a lead on demand, and a helper.
        ("EC2", timedelta(hours=1), succeeded),
        ("SPOT", timedelta(minutes=20), {**succeeded, "helps": 4}),
    ]
    for number, (kind, span, columns) in enumerate(plan, start=1):
        batch_job_id = jobs.submit("true", jobQueue=queues[kind])
        jobs.wait_for_end(batch_job_id)
        attempt = attempt_of(job, number, batch_job_id, **columns)
        (seen,) = aws_batch().describe([batch_job_id])
        started_ms = int(STARTED.timestamp() * 1000)
        span_ms = span // timedelta(milliseconds=1)
        apply_observation(attempt, replace(seen, started_at_ms=started_ms, stopped_at_ms=started_ms + span_ms))
    assert work_out_costs(machines=aws_machines()) == len(plan)
    rows = list(Attempt.objects.filter(job=job).order_by("number"))
    # The machines have 4 vCPUs, at $0.064 on Spot and $0.1728 on demand: $0.016 and $0.0432 for each.
    assert [row.cost_usd for row in rows] == [
        Decimal("0.00533333"),  # 1/6 h x 2 x 0.016
        Decimal("0.01600000"),  # 1/2 h x 2 x 0.016
        Decimal("0.00800000"),  # 1/4 h x 2 x 0.016
        Decimal("0.08640000"),  # 1 h x 2 x 0.0432
        Decimal("0.01066667"),  # 1/3 h x 2 x 0.016
    ]
    assert [row.purchase for row in rows] == ["spot", "spot", "spot", "on-demand", "spot"]
    assert {row.instance_type for row in rows} == {"m6a.xlarge"}
    assert all(row.ec2_instance_id.startswith("i-") for row in rows)
    cost = costs_of("job", [job.pk])[job.pk]
    assert cost.usd == Decimal("0.12640000")
    assert cost.wasted == {"spot": Decimal("0.00133333"), "retries": Decimal("0.01200000")}
    assert cost.by_source == {"spot-history": Decimal("0.04000000"), "list": Decimal("0.08640000")}
    assert costs_of("job__video", [job.video_id])[job.video_id].usd == cost.usd
    assert describe(cost).startswith(
        "$0.1264, of which $0.0013 (1 %) was lost to Spot and $0.0120 (9 %) to retries."
        " By AWS's history of Spot prices and AWS's price list."
    )


@pytest.mark.parametrize(
    ("denied", "code"),
    [
        ("DescribeContainerInstances", "AccessDeniedException"),
        # EC2 has a code of its own.
        ("DescribeSpotPriceHistory", "UnauthorizedOperation"),
    ],
)
def test_cost_is_by_settings_and_shows_that_when_the_role_lacks_a_permission(
    denied: str, code: str, jobs: Jobs, queues: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def deny(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == denied:
            response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(response, operation)
        return original(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", deny)
    job = Job.objects.get(video=uploaded_video())
    batch_job_id = jobs.submit("true", jobQueue=queues["SPOT"])
    jobs.wait_for_end(batch_job_id)
    attempt = attempt_of(job, 1, batch_job_id, state="SUCCEEDED", counted=False)
    (seen,) = aws_batch().describe([batch_job_id])
    apply_observation(attempt, replace(seen, stopped_at_ms=(seen.started_at_ms or 0) + 3_600_000))
    assert work_out_costs(machines=aws_machines()) == 0, "the call may be allowed again"
    age(Attempt, "ended_at", seconds=3601)
    work_out_costs(machines=aws_machines())
    row = Attempt.objects.get(pk=attempt.pk)
    # An hour of 2 vCPUs by spot_vcpu_h_usd: that it is a Spot machine follows from its cluster.
    assert (row.purchase, row.price_source, row.cost_usd) == ("spot", "setting", Decimal("0.036"))
    assert describe(costs_of("job", [job.pk])[job.pk]).startswith("$0.0360. By the site's settings.")


def test_machine_has_its_own_vcpus_when_its_type_has_others_than_moto_assumes(
    jobs: Jobs, queues: dict[str, str]
) -> None:
    batch_job_id = jobs.submit("true", jobQueue=queues["SPOT"])
    container = jobs.wait_for_end(batch_job_id)["container"]
    (machine,) = aws_machines().describe([container["containerInstanceArn"]])
    assert (machine.instance_type, machine.vcpus, machine.availability_zone[:-1]) == ("m6a.xlarge", 4, "us-east-1")
    found = boto3.client("ec2").describe_instances(InstanceIds=[machine.ec2_instance_id])
    assert found["Reservations"][0]["Instances"][0]["InstanceType"] == "m6a.xlarge"
    cluster = container["containerInstanceArn"].split("/")[1]
    assert aws_machines().purchases()[cluster] == "spot"


def test_machine_is_left_out_when_its_cluster_is_gone(jobs: Jobs, queues: dict[str, str]) -> None:
    gone = "arn:aws:ecs:us-east-1:123456789012:container-instance/no-such-cluster/0a1b2c"
    assert aws_machines().describe([gone, "arn:aws:ecs:us-east-1:123456789012:container-instance/0a1b2c"]) == []


def test_task_on_fargate_has_its_cluster_as_machine_when_it_has_no_instance(jobs: Jobs, settings: Settings) -> None:
    settings.BATCHREEL = {"job_queue": jobs.queue, "helper_queue": ""}
    batch_job_id = jobs.submit("true")
    container = jobs.wait_for_end(batch_job_id)["container"]
    assert "containerInstanceArn" not in container
    (seen,) = aws_batch().describe([batch_job_id])
    cluster = container["taskArn"].split("/")[1]
    assert seen.machine_arn == f"arn:aws:ecs:us-east-1:123456789012:cluster/{cluster}"
    assert aws_machines().purchases() == {cluster: "fargate"}


def test_price_list_is_read_when_it_has_products_without_a_price() -> None:
    # Reserved capacity is in the list as well, for $0.
    free = {"terms": {"OnDemand": {"A.B": {"priceDimensions": {"x": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0"}}}}}}}
    assert list(_hourly_prices(json.dumps(free))) == [None]
    for broken in ("", "[]", "{}", '{"terms": {"OnDemand": []}}', '{"terms": null}'):
        assert list(_hourly_prices(broken)) == []
    assert aws_machines().list_price("m6a.xlarge") == Decimal("0.1728")
