"""The local stack: the environment it provides, how it restarts, and that it leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis

from project.local.errors import StackError
from project.local.servers.ports import LOOPBACK, free_port
from project.local.servers.postgres import POSTGRES_MAJOR
from project.local.stack import running_stack
from project.local.state_lock import lock_state_folder
from tests.integration.stack_processes import STAY, StackProcesses, read_environment
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

END_LIMIT_S = 10.0
"""The limit that the stack promises after kill -9 of the process that started it."""

SUBMIT_A_JOB = """
import os, boto3
batch = boto3.client("batch")
script = "import signal, subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); signal.pause()"
batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties={
    "image": "i", "command": ["python", "-c", script],
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]})
job_id = batch.submit_job(jobName="j", jobQueue=os.environ["VIDEO_BATCH_JOB_QUEUE"], jobDefinition="d")["jobId"]
"""
"""Python code that submits a container with a child in its own session, which no signal to its group reaches."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackProcesses]:
    stack = StackProcesses(tmp_path)
    yield stack
    stack.end()


@pytest.fixture
def shared_aws() -> dict[str, str]:
    """Return the test run's endpoint, to save tests that do not need AWS the seconds of starting another one."""
    return {"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}


def rows(environment: Mapping[str, str], query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def has_ended(stack: StackProcesses) -> bool:
    return not stack.find()


@pytest.mark.long
def test_stack_leaves_no_process_when_the_starting_process_is_killed(stack: StackProcesses) -> None:
    process = stack.start(SUBMIT_A_JOB + STAY)
    read_environment(process)
    wait_for(lambda: "sleep 600 " in stack.find().values(), what="the container's child")
    for program in ("bin/postgres -D", "redis-server", "project.local.aws.endpoint", "signal.pause"):
        assert any(program in line for line in stack.find().values()), program
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: has_ended(stack), limit_s=END_LIMIT_S, what=f"the end of {stack.find()}")


@pytest.mark.few(1)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_stack_leaves_no_process_when_the_starting_process_is_stopped(
    stack: StackProcesses, shared_aws: dict[str, str], end: signal.Signals
) -> None:
    process = stack.start(STAY, **shared_aws)
    read_environment(process)
    os.killpg(process.pid, end)  # as a terminal does with Ctrl-C: to the program and to its command
    process.communicate(timeout=END_LIMIT_S)
    assert process.returncode == 128 + end
    assert has_ended(stack)


def test_stack_leaves_no_process_when_the_command_ends(stack: StackProcesses) -> None:
    code, _, errors = stack.run(SUBMIT_A_JOB + "raise SystemExit(7)")
    assert code == 7, errors
    assert has_ended(stack)


def test_stack_leaves_no_process_when_its_lifelines_are_killed(
    stack: StackProcesses, shared_aws: dict[str, str]
) -> None:
    process = stack.start(STAY, **shared_aws)
    read_environment(process)
    for process_id, line in stack.find().items():
        if "lifeline.py" in line:
            os.kill(process_id, signal.SIGKILL)
    servers = ("bin/postgres", "redis-server", "postgres:")
    wait_for(
        lambda: not [line for line in stack.find().values() if line.startswith(servers)], what="the end of the servers"
    )
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: has_ended(stack), limit_s=END_LIMIT_S, what="the end of the remaining processes")


def test_data_survives_when_the_stack_is_killed_and_restarted_at_once(
    stack: StackProcesses, shared_aws: dict[str, str]
) -> None:
    process = stack.start(STAY, **shared_aws)
    environment = read_environment(process)
    rows(environment, "CREATE TABLE kept AS SELECT 42 AS response")
    with Redis.from_url(environment["REDIS_URL"]) as redis:
        redis.set("kept", "42")
    os.kill(process.pid, signal.SIGKILL)
    environment = read_environment(stack.start(STAY, **shared_aws))
    assert rows(environment, "SELECT response FROM kept") == [(42,)]
    with Redis.from_url(environment["REDIS_URL"], decode_responses=True) as redis:
        assert redis.get("kept") == "42"


def test_data_folder_starts_when_its_lock_file_names_a_reused_process_id(
    stack: StackProcesses, shared_aws: dict[str, str]
) -> None:
    assert stack.run("", **shared_aws)[0] == 0
    lock_file = stack.state_dir / "postgres" / "data" / "postmaster.pid"
    lock_file.write_text(f"{os.getppid()}\n{lock_file.parent}\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
    code, _, errors = stack.run("", **shared_aws)
    assert code == 0, errors


def test_database_is_recreated_when_its_creation_was_killed_half_way(
    stack: StackProcesses, shared_aws: dict[str, str]
) -> None:
    unfinished = stack.state_dir / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text(str(POSTGRES_MAJOR))
    code, _, errors = stack.run("", **shared_aws)
    assert code == 0, errors


def test_stack_names_both_versions_when_data_is_from_another_postgresql(stack: StackProcesses) -> None:
    data = stack.state_dir / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    code, _, errors = stack.run("")
    assert code == 1
    assert f"{data} was created by PostgreSQL 16; this project runs {POSTGRES_MAJOR}." in errors
    assert "Traceback" not in errors
    assert has_ended(stack)


def test_stack_shows_the_end_of_the_log_when_a_server_cannot_start(
    stack: StackProcesses, shared_aws: dict[str, str]
) -> None:
    assert stack.run("", **shared_aws)[0] == 0
    with (stack.state_dir / "postgres" / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    code, _, errors = stack.run("", **shared_aws)
    assert code == 1
    assert "PostgreSQL exited while starting" in errors
    assert "no_such_setting" in errors
    assert "Traceback" not in errors
    assert has_ended(stack)


def test_stack_starts_no_server_when_the_environment_names_all_of_them(stack: StackProcesses) -> None:
    given = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "AWS_ENDPOINT_URL")}
    process = stack.start(STAY, **given)
    shown = read_environment(process)
    assert {name: shown[name] for name in given} == given
    assert not [line for line in stack.find().values() if "lifeline.py" in line]


@pytest.mark.long
def test_stack_responds_to_boto3_when_the_proxy_variables_name_a_dead_proxy(stack: StackProcesses) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"), nowhere)
    script = (
        "import boto3, os; boto3.client('s3').list_buckets(); print(os.environ['no_proxy'], os.environ['NO_PROXY'])"
    )
    code, output, errors = stack.run(script, **proxies, no_proxy="intranet.example.org")
    assert code == 0, errors
    assert output.split() == ["intranet.example.org,127.0.0.1,localhost,::1"] * 2


def test_stack_starts_the_missing_servers_when_the_environment_names_some(
    stack: StackProcesses, shared_aws: dict[str, str]
) -> None:
    process = stack.start(STAY, **shared_aws, REDIS_URL="redis://redis.invalid:1/0")
    shown = read_environment(process)
    assert shown["REDIS_URL"] == "redis://redis.invalid:1/0"
    assert rows(shown, "SELECT 1") == [(1,)]
    assert len([line for line in stack.find().values() if "lifeline.py" in line]) == 1


@pytest.mark.long
def test_stack_tries_another_port_when_the_chosen_one_is_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name)
    with socket.create_server((LOOPBACK, 0)) as taken:
        ports = [taken.getsockname()[1], free_port(), free_port(), taken.getsockname()[1]]
        monkeypatch.setattr("project.local.stack.free_port", lambda: ports.pop(0) if ports else free_port())
        with running_stack(tmp_path / "state") as environment:
            assert rows(environment, "SELECT 1") == [(1,)]
            with Redis.from_url(environment["REDIS_URL"]) as redis:
                assert redis.ping()
    assert not ports


def test_second_stack_is_rejected_when_one_runs_on_the_folder(tmp_path: Path) -> None:
    messages: list[str] = []
    lock = lock_state_folder(tmp_path, report=messages.append)
    with pytest.raises(StackError, match="Another stack is running on"):
        lock_state_folder(tmp_path, report=messages.append, limit_s=0.2)
    os.close(lock)
    os.close(lock_state_folder(tmp_path, report=messages.append))
    assert messages == [f"Waiting for the previous stack on {tmp_path} to end."]


def test_database_folds_case_when_text_is_not_ascii(program_environment: Mapping[str, str]) -> None:
    assert rows(program_environment, "SELECT upper('größer é'), 'ÄRZTE' ILIKE 'ärzte'") == [("GRÖßER É", True)]


def test_database_denies_access_when_the_password_is_missing(program_environment: Mapping[str, str]) -> None:
    url = urlsplit(program_environment["DATABASE_URL"])
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=url.hostname, port=url.port, user=url.username, dbname="postgres")


def test_help_lists_the_commands_variables_when_it_is_requested() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "project.local", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for name in ("DATABASE_URL", "REDIS_URL", "AWS_ENDPOINT_URL", "VIDEO_BATCH_JOB_QUEUE", "exec"):
        assert name in output
