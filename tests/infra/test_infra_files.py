"""The Terraform files without AWS: their format, their documentation, and their consistency with the code."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from django.db import transaction
from django.db.models.functions import Now

from scripts.infra.render_job_definition import TEMPLATE, template
from tasks.batch.errors import BatchDeniedError
from tasks.conf import bridge_settings
from tasks.json_logs import JsonFormatter
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, JobState
from tasks.metrics.log_line import DIMENSION, NAMESPACE, UNITS, log_metrics
from tasks.metrics.tally import tally_ended
from tasks.models import Attempt, Job
from tasks.models import Tick as TickRow
from tasks.schedule.ticks import TICKS, Tick
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.hold import hold_fire
from tasks.services.ticks.lease import TickLease, run_tick
from tasks.services.ticks.submit import submit_due
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video
from tests.infra.filter_patterns import matches
from tests.infra.terraform_runs import INFRA, Terraform, infra_text

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

_ALARM = re.compile(
    r"^    ([a-z-]+) = merge\(local\.(once|lasting), \{\n      metric +=\s\"(.*)\"\n(?:.*\n)*?    \}\)",
    flags=re.MULTILINE,
)
METRICS = {found[1]: found[3] for found in _ALARM.finditer((INFRA / "alarms.tf").read_text())}
"""Alarm -> metric of the METRICS line."""
LINE_PATTERNS = {
    name: re.sub(r"\\(.)", r"\1", pattern)
    for name, pattern in re.findall(
        r'^      ([a-z-]+) = \{\n(?:.*\n)?        pattern +=\s"(.*)"$',
        (INFRA / "alarms.tf").read_text(),
        flags=re.MULTILINE,
    )
}
"""Alarm -> pattern of the log line that raises it."""
_LIMITS = {
    found[1]: int(limit[1]) if (limit := re.search(r"at_least += (\d+)$", found[0], flags=re.MULTILINE)) else 1
    for found in _ALARM.finditer((INFRA / "alarms.tf").read_text())
}
_VARIABLES = {
    "uploads-waiting": 7200,
    "heartbeats-late": 3,
    "jobs-failed": 5,
    "attempts-failed": 5,
    "database-large": 15 * 2**30,
}
"""Alarm -> default of the variable that is its limit."""


def test_terraform_files_are_formatted_and_valid_when_checked(tmp_path: Path) -> None:
    terraform = Terraform(tmp_path, variables={}, environment={})
    assert terraform.run_checked("fmt", "-check", "-diff", str(INFRA)) == ""
    assert "Success" in terraform.run_checked("validate")


def test_job_definition_template_is_current_when_the_code_changes() -> None:
    assert TEMPLATE.read_text() == template(), "run `python scripts/infra/render_job_definition.py`"


def test_every_variable_and_output_is_documented_when_one_is_added() -> None:
    blocks = re.findall(r'^(?:variable|output) "(\w+)" \{\n((?:  .*\n|\n)*)\}', infra_text(), flags=re.MULTILINE)
    assert len(blocks) == len(re.findall(r"^(?:variable|output) ", infra_text(), flags=re.MULTILINE))
    assert not [name for name, body in blocks if not re.search(r'description = ".{12,}"', body)]


def test_terraform_variables_are_rejected_with_reasons_when_invalid(tmp_path: Path) -> None:
    wrong = {
        "region": "us-east-1",
        "source_retention_days": 20,
        "recovery_window_days": 30,
        "image_digest": "latest",
        "attempt_timeout_s": 59,
        "secret_arns": {"DATABASE": "arn:aws:ssm:us-east-1:123456789012:parameter/a"},
        "vpc_id": "vpc-1",
        "instance_types": ["c6i"],
    }
    planned = Terraform(tmp_path, variables=wrong, environment={}).run("plan", "-input=false", "-refresh=false")
    output = " ".join(planned.stderr.replace("\u2502", " ").split())
    reasons = (
        "whole of recovery_window_days",
        "by its digest",
        "60 s",
        "The container needs DATABASE_URL",
        "together",
        "at least 3",
        "c6i.2xlarge",
    )
    assert planned.returncode == 1
    assert [reason for reason in reasons if reason not in output] == []


def test_production_plan_is_complete_when_the_vpc_already_exists(tmp_path: Path) -> None:
    ec2 = boto3.client("ec2")
    vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    in_vpc = {"Filters": [{"Name": "vpc-id", "Values": [vpc_id]}]}
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:one-AbCdEf"
    variables = {
        "region": "us-east-1",
        "secret_arns": {"DATABASE_URL": secret},
        "vpc_id": vpc_id,
        "subnet_ids": [each["SubnetId"] for each in ec2.describe_subnets(**in_vpc)["Subnets"]],
    }
    terraform = Terraform(tmp_path, variables=variables, environment={})
    terraform.run_checked("plan", "-input=false", "-out=planned")
    planned: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(terraform.run_checked("show", "-json", "planned"))["planned_values"]["root_module"][
        "resources"
    ]:
        planned.setdefault(each["type"], []).append(each.get("values", {}))
    assert not planned.keys() & {"aws_vpc", "aws_subnet", "aws_vpc_endpoint", "aws_batch_job_definition"}
    limits = planned["aws_batch_job_queue"][0]["job_state_time_limit_action"]
    assert {each["reason"].partition(":")[0] for each in limits} == {"MISCONFIGURATION", "CAPACITY"}
    assert {(each["state"], each["action"]) for each in limits} == {("RUNNABLE", "CANCEL")}
    assert len(planned["aws_s3_bucket_policy"]) == 1
    environments = planned["aws_batch_compute_environment"]
    policies = [policy for each in environments for policy in each["update_policy"]]
    assert policies == 2 * [{"job_execution_timeout_minutes": 360, "terminate_jobs_on_update": False}]
    sizes = {size for each in environments for size in each["compute_resources"][0]["instance_type"]}
    assert all("." in size for size in sizes), "families have sizes of up to 192 vCPUs"
    assert planned["aws_launch_template"][0]["block_device_mappings"][0]["ebs"][0]["volume_size"] == 148


@pytest.mark.django_db(transaction=True)
def test_alarm_filter_counts_the_line_when_containers_are_cut_off(
    caplog: pytest.LogCaptureFixture, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    for number in range(3):
        claimed(submitted_attempt(uploaded_video(title=str(number))))
    Attempt.objects.update(batch_status=BatchStatus.RUNNING)
    age(Attempt, "heartbeat_at", seconds=200)
    assert hold_fire() == 3
    (record,) = [each for each in caplog.records if each.getMessage() == "CONTAINERS_CUT_OFF"]
    line = JsonFormatter().format(record)
    assert {name for name, pattern in LINE_PATTERNS.items() if matches(pattern, line)} == {"containers-cut-off"}


def test_alarms_read_metrics_that_the_line_has_when_one_is_renamed() -> None:
    assert len(METRICS) >= 10
    assert set(METRICS.values()) <= set(UNITS)
    text = (INFRA / "alarms.tf").read_text()
    assert set(re.findall(r'namespace += "(.*)"', text)) == {NAMESPACE}
    assert set(LINE_PATTERNS) == {"sandbox", "containers-cut-off"}
    assert set(re.findall(r"dimensions += \{ (\w+) = ", text)) == {DIMENSION}
    described = {name: int(default) for name, default in _defaults().items()}
    assert described == {
        "upload_wait_s": 7200,
        "late_heartbeats": 3,
        "failed_jobs_per_hour": 5,
        "failed_attempts_per_hour": 5,
    }


def test_alarm_filter_counts_the_line_when_a_wall_around_ffmpeg_is_missing() -> None:
    pattern = LINE_PATTERNS["sandbox"]
    counted = {
        level: matches(pattern, json.dumps({"level": level, "event": "SANDBOX"})) for level in ("INFO", "WARNING")
    }
    assert counted == {"INFO": False, "WARNING": True}


def _defaults() -> dict[str, str]:
    names = "upload_wait_s|late_heartbeats|failed_jobs_per_hour|failed_attempts_per_hour"
    pattern = rf'^variable "({names})" \{{\n(?:  .*\n)*?  default +=\s(\d+)$'
    return dict(re.findall(pattern, infra_text(), flags=re.MULTILINE))


@pytest.mark.django_db(transaction=True)
def test_alarms_are_raised_by_the_line_when_jobs_need_an_operator(
    caplog: pytest.LogCaptureFixture, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    _let_all_ticks_run()
    attempt = submitted_attempt()
    assert raised_by_line(caplog) == set()
    age(Attempt, "created_at", seconds=7200)
    assert raised_by_line(caplog) == {"queue-stuck"}
    running = claimed(submitted_attempt())
    send_heartbeat(running, stage="fetch", count=0, encoded_frames=0)
    assert raised_by_line(caplog) == set(), "a backlog is no alarm while containers work"
    _fail(attempt, reason=Reason.SCRATCH_TOO_SMALL)
    assert raised_by_line(caplog) == set(), "a single source may be too large"
    for each in (submitted_attempt(), submitted_attempt(), submitted_attempt()):
        _fail(each, reason=Reason.DISK_FULL)
    age(Job, "next_attempt_at", seconds=7200)
    assert raised_by_line(caplog) == {"disk-full"}
    Job.objects.filter(pk=running.job_id).update(created_at=Now() - timedelta(days=1))
    Job.objects.filter(pk=attempt.job_id).update(created_at=Now() - timedelta(days=1))
    assert raised_by_line(caplog) == {"uploads-waiting"}
    while Job.objects.get(pk=attempt.job_id).state != JobState.DEAD:
        submit_due(batch=ScriptedBatch())
        for live in Attempt.objects.filter(ended_at=None, job=attempt.job_id):
            _fail(live)
        age(Job, "next_attempt_at", seconds=7200)
    assert "jobs-dead" in raised_by_line(caplog)


def _let_all_ticks_run() -> None:
    for tick in TICKS:
        run_tick(tick.name, period_s=tick.period_s(bridge_settings()), body=lambda _: None)


def _fail(attempt: Attempt, *, reason: Reason = Reason.HEARTBEAT_TIMEOUT) -> None:
    with transaction.atomic():
        job = lock_job(attempt.job_id)
        end_attempt(read_attempt(job, attempt.number), AttemptEvent.LOSE, reason=reason)
    Attempt.objects.filter(pk=attempt.pk).update(counted=True)


def raised_by_line(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Log the metrics, and return the alarms whose limit a value of the line reaches."""
    log_metrics(tally_ended())
    record = [each for each in caplog.records if each.getMessage() == "METRICS"][-1]
    line = json.loads(JsonFormatter().format(record))
    limits = {**_LIMITS, **_VARIABLES}
    return {alarm for alarm, metric in METRICS.items() if line.get(metric, 0) >= limits[alarm]}


@pytest.mark.django_db
@pytest.mark.parametrize("tick", TICKS, ids=lambda tick: tick.name)
def test_alarm_is_raised_by_the_line_when_a_tick_of_any_kind_fails(
    tick: Tick, caplog: pytest.LogCaptureFixture
) -> None:
    def denied(_: TickLease) -> None:
        message = "not allowed"
        raise BatchDeniedError(message)

    _let_all_ticks_run()
    age(TickRow, "started_at", seconds=60)
    assert raised_by_line(caplog) == set()
    run_tick(tick.name, period_s=tick.period_s(bridge_settings()), body=denied)
    assert raised_by_line(caplog) == {"tick-failed"}
