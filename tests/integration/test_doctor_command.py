"""`manage.py doctor` and `register_job_definition` as an operator runs them: their output and exit codes."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tasks.schedule.ticks import TICKS
from tasks.services.ticks.lease import run_tick
from tests.integration.manage_command import manage
from tests.polling import assert_quick_once

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 15
UNREACHABLE_URL = "http://127.0.0.1:1"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def revisions(environment: dict[str, str]) -> list[dict[str, Any]]:
    name = environment["VIDEO_BATCH_JOB_DEFINITION"]
    return list(boto3.client("batch").describe_job_definitions(jobDefinitionName=name)["jobDefinitions"])


@pytest.mark.long
def test_definition_is_registered_only_when_it_changed(dedicated_definition: dict[str, str]) -> None:
    tried = manage("register_job_definition", "--dry-run", environment=dedicated_definition)
    assert (tried.returncode, revisions(dedicated_definition)) == (0, [])
    assert "--dry-run" in tried.stdout
    first = manage("register_job_definition", environment=dedicated_definition)
    again = manage("register_job_definition", environment=dedicated_definition)
    assert [each["revision"] for each in revisions(dedicated_definition)] == [1]
    assert "Registered" in first.stdout
    assert "nothing to do" in again.stdout

    changed = {**dedicated_definition, "BATCHREEL": '{"memory_mib": 3000}'}
    shown = manage("register_job_definition", "--dry-run", environment=changed)
    assert len(revisions(changed)) == 1
    difference = [line.strip() for line in shown.stdout.splitlines()[1:4]]
    assert difference == ["containerProperties.resourceRequirements[MEMORY].value", "- 3500", "+ 3000"]
    manage("register_job_definition", environment=changed)
    assert sorted(each["revision"] for each in revisions(changed)) == [1, 2]


def test_register_names_the_next_step_when_the_setting_pins_a_revision(dedicated_definition: dict[str, str]) -> None:
    manage("register_job_definition", environment=dedicated_definition)
    name = dedicated_definition["VIDEO_BATCH_JOB_DEFINITION"]
    pinned = {**dedicated_definition, "VIDEO_BATCH_JOB_DEFINITION": f"{name}:1", "BATCHREEL": '{"memory_mib": 3000}'}
    ran = manage("register_job_definition", environment=pinned)
    assert f"set it to {name}:2" in ran.stdout


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"VIDEO_BATCH_JOB_QUEUE": ""}, "VIDEO_BATCH_JOB_QUEUE is not set"),
        ({"VIDEO_BATCH_JOB_DEFINITION": ""}, "VIDEO_BATCH_JOB_DEFINITION is not set"),
        ({"BATCHREEL": '{"typo": 1}'}, "BATCHREEL has no setting named typo"),
        ({"AWS_ENDPOINT_URL": UNREACHABLE_URL}, "Check the network"),
        ({"AWS_DEFAULT_REGION": None, "AWS_CONFIG_FILE": "/dev/null"}, "You must specify a region"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_register_explains_the_problem_in_one_line_when_it_cannot_work(
    dedicated_definition: dict[str, str], change: dict[str, str | None], words: str
) -> None:
    environment = {name: value for name, value in {**dedicated_definition, **change}.items() if value is not None}
    ran = manage("register_job_definition", environment=environment)
    assert ran.returncode == 1
    assert words in ran.stderr
    assert len([line for line in ran.stderr.splitlines() if " INFO " not in line]) == 1


@pytest.mark.django_db(transaction=True)
def test_doctor_reports_ok_when_everything_runs(dedicated_definition: dict[str, str]) -> None:
    assert manage("register_job_definition", environment=dedicated_definition).returncode == 0
    # Another test may have left the periods of its settings.
    assert manage("sync_schedule", environment=dedicated_definition).returncode == 0
    for tick in TICKS:
        assert run_tick(tick.name, period_s=1, body=lambda _: None)
    ran = manage("doctor", environment=dedicated_definition)
    assert ran.returncode == 0, ran.stdout
    assert "\x1b" not in ran.stdout
    report = json.loads(manage("doctor", "--json", environment=dedicated_definition).stdout)
    assert report["ok"] is True
    parts = {finding["part"] for finding in report["findings"]}
    assert parts >= {"settings", "database", "migrations", "broker", "tick submit", "storage", "queue", "compute"}
    assert parts >= {"definition", "command", "ffmpeg", "player", "jobs"}


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_doctor_names_the_definition_when_it_differs_from_the_code(dedicated_definition: dict[str, str]) -> None:
    manage("register_job_definition", environment=dedicated_definition)
    boto3.client("batch").register_job_definition(
        jobDefinitionName=dedicated_definition["VIDEO_BATCH_JOB_DEFINITION"],
        type="container",
        containerProperties={
            "image": "old",
            "command": ["python", "-m", "tasks.gone", "Ref::job_id"],
            "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "3500"}],
        },
    )
    ran = manage("doctor", "--json", environment=dedicated_definition)
    assert ran.returncode == 1
    found = {finding["part"]: finding for finding in json.loads(ran.stdout)["findings"]}
    assert found["definition"]["status"] == found["command"]["status"] == "failed"
    assert "containerProperties.image" in found["definition"]["why"]
    assert "tasks.gone" in found["command"]["why"]


@pytest.mark.long
def test_doctor_ends_in_time_and_reports_failures_when_nothing_responds(
    program_environment: dict[str, str], silent_port: int
) -> None:
    silent = f"127.0.0.1:{silent_port}"
    environment = {
        **program_environment,
        "DATABASE_URL": f"postgres://nobody@{silent}/none",
        "REDIS_URL": f"redis://{silent}/0",
        "AWS_ENDPOINT_URL": f"http://{silent}",
        "STORAGE_BUCKET": "bucket",
        "STORAGE_ENDPOINT_URL": f"http://{silent}",
        "MEDIA_BASE_URL": "https://cdn.example.com/",
    }
    runs = []

    def once() -> float:
        began_s = time.monotonic()
        runs.append(manage("doctor", "--json", environment=environment))
        return time.monotonic() - began_s

    assert_quick_once(once, limit_s=LIMIT_S)
    ran = runs[-1]
    findings = json.loads(ran.stdout)["findings"]
    found = {finding["part"]: finding["status"] for finding in findings}
    assert ran.returncode == 1
    assert all(str(silent_port) in each["why"] for each in findings if each["status"] == "unknown"), findings
    parts = ("database", "broker", "ticks", "storage", "queue", "definition", "jobs")
    assert {part: found[part] for part in parts} == {
        "database": "failed",
        "broker": "failed",
        "ticks": "unknown",
        "storage": "unknown",
        "queue": "unknown",
        "definition": "unknown",
        "jobs": "unknown",
    }
    assert found["settings"] == found["ffmpeg"] == "ok"


def test_check_names_all_missing_settings_when_the_environment_is_empty(program_environment: dict[str, str]) -> None:
    kept = ("PATH", "HOME", "LANG")
    ran = manage("check", environment={name: value for name, value in program_environment.items() if name in kept})
    assert ran.returncode == 1
    for name in ("SECRET_KEY", "VIDEO_BATCH_JOB_QUEUE", "VIDEO_BATCH_JOB_DEFINITION"):
        assert f"{name} is not set" in ran.stderr
