"""The Terraform files without AWS: their format, their documentation, and their consistency with the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from scripts.infra.render_job_definition import TEMPLATE, template
from tasks.batch.errors import BatchDeniedError
from tasks.json_logs import JsonFormatter
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, JobState
from tasks.models import Attempt, Job, Tick
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.alerts import alert_overdue, alert_stuck_runnable
from tasks.services.ticks.hold import hold_fire
from tasks.services.ticks.lease import TickLease, run_tick
from tasks.services.ticks.submit import submit_due
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video
from tests.infra.filter_patterns import matches
from tests.infra.terraform_runs import INFRA, Terraform, infra_text

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

_ALARM = re.compile(r"^    ([a-z-]+) = merge\(local\.one_line, \{\n      pattern +=\s\"(.*)\"\n", flags=re.MULTILINE)
PATTERNS = {name: re.sub(r"\\(.)", r"\1", text) for name, text in _ALARM.findall((INFRA / "alarms.tf").read_text())}


def counted_by(line: str) -> set[str]:
    """Return the alarms whose filter counts the line."""
    return {name for name, pattern in PATTERNS.items() if matches(pattern, line)}


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
    assert counted_by_log(caplog) == {"containers-cut-off"}


@pytest.mark.django_db(transaction=True)
def test_alarm_filters_count_log_lines_when_jobs_need_an_operator(
    caplog: pytest.LogCaptureFixture, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    attempt = submitted_attempt()
    alert_stuck_runnable()
    alert_overdue()
    assert counted_by_log(caplog) == set()
    Attempt.objects.update(batch_status=BatchStatus.RUNNABLE, batch_status_at=Now())
    age(Attempt, "batch_status_at", seconds=7200)
    alert_stuck_runnable()
    assert counted_by_log(caplog) == {"jobs-waiting"}
    _fail(attempt)
    age(Job, "next_attempt_at", seconds=7200)
    alert_overdue()
    assert counted_by_log(caplog) == {"jobs-waiting", "jobs-overdue"}
    while Job.objects.get().state != JobState.DEAD:
        submit_due(batch=ScriptedBatch())
        for live in Attempt.objects.filter(ended_at=None):
            _fail(live)
        age(Job, "next_attempt_at", seconds=7200)
    assert counted_by_log(caplog) == {"jobs-waiting", "jobs-overdue", "jobs-dead"}


def _fail(attempt: Attempt) -> None:
    with transaction.atomic():
        job = lock_job(attempt.job_id)
        end_attempt(read_attempt(job, attempt.number), AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    Attempt.objects.update(counted=True)


def counted_by_log(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return the alarms whose filters count a line of this test's log."""
    return {alarm for record in caplog.records for alarm in counted_by(JsonFormatter().format(record))}


@pytest.mark.django_db
def test_alarm_filter_counts_the_line_when_aws_denies_a_ticks_call(caplog: pytest.LogCaptureFixture) -> None:
    def body(_: TickLease) -> None:
        message = "not allowed"
        raise BatchDeniedError(message)

    run_tick("observe", period_s=15, body=body)
    assert counted_by_log(caplog) == {"tick-failed"}


@pytest.mark.django_db
def test_alarm_filter_counts_the_line_when_a_tick_fails_or_hangs(caplog: pytest.LogCaptureFixture) -> None:
    def body(_: TickLease) -> None:
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        run_tick("purge", period_s=60, body=body)
    assert counted_by_log(caplog) == {"tick-error"}
    caplog.clear()
    age(Tick, "started_at", seconds=61)
    Tick.objects.update(leased_until=F("started_at"))
    assert run_tick("purge", period_s=60, body=lambda _: None)
    assert counted_by_log(caplog) == {"tick-error"}
    caplog.clear()
    age(Tick, "started_at", seconds=61)
    assert run_tick("purge", period_s=60, body=lambda _: None)
    assert counted_by_log(caplog) == set()


def test_alarm_filter_counts_the_line_when_a_container_is_misconfigured() -> None:
    environment = {**os.environ, "LOG_FORMAT": "json", "BATCHREEL": '{"no_such_setting": 1}'}
    container = subprocess.run(
        [sys.executable, "-m", "tasks.container", str(uuid.uuid4()), "1"],
        cwd=django_settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = (container.stdout + container.stderr).splitlines()
    assert [counted_by(line) for line in lines if "BATCH_JOB_FAILED" in line] == [{"attempts-failed"}], lines
