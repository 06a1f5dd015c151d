"""From SubmitJob to SUCCEEDED or FAILED: statuses, reasons, exit codes, attempts, times, and early ends."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.polling import wait_for
from tests.processes import is_alive

if TYPE_CHECKING:
    from tests.contract.jobs import Jobs

EXITED = "Essential container in task exited"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); signal.pause()"
EXITS_ON_SIGTERM = """
import signal, sys
def leave(number, frame):
    print("received SIGTERM")
    sys.exit(9)
signal.signal(signal.SIGTERM, leave)
print("ready")
signal.pause()
"""


LEAVES_TWO_CHILDREN = """
import subprocess
for new_session in (True, False):
    print(subprocess.Popen(["sleep", "600"], start_new_session=new_session).pid)
"""


def test_batch_job_succeeds_when_its_command_returns_0(jobs: Jobs) -> None:
    began_ms = time.time() * 1000
    job = jobs.wait_for_end(jobs.submit("true"))
    ended_ms = time.time() * 1000
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == EXITED
    assert job["container"]["exitCode"] == 0
    assert began_ms - 1 <= job["createdAt"] <= job["startedAt"] <= job["stoppedAt"] <= ended_ms + 1
    [attempt] = job["attempts"]
    assert attempt["container"]["exitCode"] == 0
    assert attempt["container"]["taskArn"] == job["container"]["taskArn"]
    assert attempt["container"]["logStreamName"] == job["container"]["logStreamName"]
    assert (attempt["startedAt"], attempt["stoppedAt"]) == (job["startedAt"], job["stoppedAt"])
    assert attempt["statusReason"] == EXITED
    assert (job["isCancelled"], job["isTerminated"]) == (False, False)


def test_batch_job_fails_with_the_exit_code_when_its_command_fails(jobs: Jobs) -> None:
    job = jobs.wait_for_end(jobs.submit("sh", "-c", "exit 3"))
    assert (job["status"], job["statusReason"], job["container"]["exitCode"]) == ("FAILED", EXITED, 3)
    assert job["attempts"][0]["container"]["exitCode"] == 3


def test_batch_job_fails_with_137_when_its_process_is_killed(jobs: Jobs) -> None:
    job = jobs.wait_for_end(jobs.submit("sh", "-c", "kill -9 $$"))
    assert (job["status"], job["statusReason"], job["container"]["exitCode"]) == ("FAILED", EXITED, 137)


def test_batch_job_fails_to_start_when_its_command_does_not_exist(jobs: Jobs) -> None:
    job = jobs.wait_for_end(jobs.submit("no-such-program"))
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"].startswith("CannotStartContainerError")
    assert "exitCode" not in job["container"]
    assert "startedAt" not in job


def test_batch_job_fails_to_start_when_its_command_is_too_long(jobs: Jobs) -> None:
    job = jobs.wait_for_end(jobs.submit("echo", "Ref::a/" * 10, parameters={"a": "x" * 20_000}))
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert "Argument list too long" in job["container"]["reason"]


def test_batch_jobs_start_in_order_when_the_queue_is_full(jobs: Jobs) -> None:
    narrow = jobs.make_queue(vcpus=2)
    wide = jobs.define("sleep", "600", vcpus="2")
    short = jobs.define("true")
    first = jobs.submit(jobQueue=narrow, jobDefinition=wide)
    jobs.wait_for_status(first, "RUNNING")
    second = jobs.submit(jobQueue=narrow, jobDefinition=wide)
    third = jobs.submit(jobQueue=narrow, jobDefinition=short)
    assert jobs.wait_for_status(second, "RUNNABLE").get("statusReason") is None
    assert jobs.wait_for_status(third, "RUNNABLE")["container"].get("taskArn") is None
    jobs.batch.terminate_job(jobId=first, reason="make room")
    jobs.wait_for_status(second, "RUNNING")
    assert jobs.wait_for_status(third, "RUNNABLE")
    jobs.batch.terminate_job(jobId=second, reason="make room")
    assert jobs.wait_for_end(third)["status"] == "SUCCEEDED"


def test_batch_job_shows_the_reason_when_it_can_never_fit(jobs: Jobs) -> None:
    job_id = jobs.submit_waiting()
    reason = wait_for(lambda: jobs.describe(job_id).get("statusReason"), what="a reason for waiting")
    assert reason.startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ")
    assert jobs.describe(job_id)["status"] == "RUNNABLE"


def test_batch_job_restarts_under_the_same_id_when_retries_are_left(jobs: Jobs) -> None:
    command = 'echo attempt $AWS_BATCH_JOB_ATTEMPT of $AWS_BATCH_JOB_ID; test "$AWS_BATCH_JOB_ATTEMPT" = 3'
    job_id = jobs.submit("sh", "-c", command, retryStrategy={"attempts": 4})
    job = jobs.wait_for_end(job_id)
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 1, 0]
    assert len({attempt["container"]["logStreamName"] for attempt in job["attempts"]}) == 3
    assert jobs.lines_of(job_id) == [f"attempt 3 of {job_id}"]


def test_retries_of_the_definition_apply_when_submit_names_none(jobs: Jobs) -> None:
    definition = jobs.define("false", retryStrategy={"attempts": 2})
    assert len(jobs.wait_for_end(jobs.submit(jobDefinition=definition))["attempts"]) == 2


@pytest.mark.parametrize(
    ("rule", "attempts"),
    [
        ({"onExitCode": "5", "action": "EXIT"}, 1),
        ({"onExitCode": "6", "action": "EXIT"}, 3),
        ({"onStatusReason": "Essential*", "onExitCode": "5", "action": "exit"}, 1),
        ({"onStatusReason": "Host EC2*", "onExitCode": "5", "action": "EXIT"}, 3),
        ({"onExitCode": "5", "action": "RETRY"}, 3),
    ],
)
def test_exit_rule_decides_about_a_retry_when_it_matches(jobs: Jobs, attempts: int, rule: dict[str, str]) -> None:
    job = jobs.wait_for_end(jobs.submit("sh", "-c", "exit 5", retryStrategy={"attempts": 3, "evaluateOnExit": [rule]}))
    assert len(job["attempts"]) == attempts


def test_running_job_gets_sigterm_and_the_reason_when_it_is_terminated(jobs: Jobs) -> None:
    job_id = jobs.submit("python", "-c", EXITS_ON_SIGTERM, retryStrategy={"attempts": 3})
    assert jobs.wait_for_lines(job_id, 1) == ["ready"]
    jobs.batch.terminate_job(jobId=job_id, reason="the user cancelled")
    jobs.batch.terminate_job(jobId=job_id, reason="a second reason")
    job = jobs.wait_for_end(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "the user cancelled")
    assert job["container"]["exitCode"] == 9
    assert job["isTerminated"]
    assert len(job["attempts"]) == 1
    assert jobs.lines_of(job_id)[-1] == "received SIGTERM"


@pytest.mark.long
def test_running_job_is_killed_after_30_s_when_it_ignores_sigterm(jobs: Jobs) -> None:
    job_id = jobs.submit("python", "-c", IGNORES_SIGTERM)
    assert jobs.wait_for_lines(job_id, 1) == ["ready"]
    terminated_ms = time.time() * 1000
    jobs.batch.terminate_job(jobId=job_id, reason="enough")
    job = jobs.wait_for_end(job_id, limit_s=40)
    assert (job["statusReason"], job["container"]["exitCode"]) == ("enough", 137)
    assert 29_900 <= job["stoppedAt"] - terminated_ms <= 33_000


def test_waiting_job_fails_and_never_runs_when_it_is_terminated(jobs: Jobs) -> None:
    job_id = jobs.submit_waiting()
    jobs.wait_for_status(job_id, "RUNNABLE")
    jobs.batch.terminate_job(jobId=job_id, reason="never mind")
    job = jobs.describe(job_id)
    assert (job["status"], job["statusReason"], job["attempts"]) == ("FAILED", "never mind", [])
    assert "startedAt" not in job
    assert job["stoppedAt"] >= job["createdAt"]


def test_terminate_has_no_effect_when_the_job_is_unknown_or_has_ended(jobs: Jobs) -> None:
    jobs.batch.terminate_job(jobId="00000000-0000-0000-0000-000000000000", reason="who?")
    ended = jobs.wait_for_end(jobs.submit("true"))
    jobs.batch.terminate_job(jobId=ended["jobId"], reason="too late")
    after = jobs.describe(ended["jobId"])
    del ended["ResponseMetadata" if "ResponseMetadata" in ended else "tags"], after["tags"]
    assert after == ended


def test_cancel_ends_the_waiting_job_only_when_another_one_runs(jobs: Jobs) -> None:
    running = jobs.submit("sleep", "600")
    jobs.wait_for_status(running, "RUNNING")
    waiting = jobs.submit_waiting()
    jobs.wait_for_status(waiting, "RUNNABLE")
    jobs.batch.cancel_job(jobId=running, reason="no effect")
    jobs.batch.cancel_job(jobId=waiting, reason="not needed")
    job = jobs.describe(waiting)
    assert (job["status"], job["statusReason"], job["isCancelled"]) == ("FAILED", "not needed", True)
    assert jobs.describe(running)["status"] == "RUNNING"


def test_containers_child_processes_are_killed_when_it_ends(jobs: Jobs) -> None:
    job_id = jobs.submit("python", "-c", LEAVES_TWO_CHILDREN)
    assert jobs.wait_for_end(job_id)["status"] == "SUCCEEDED"
    process_ids = [int(line) for line in jobs.lines_of(job_id)]
    assert len(process_ids) == 2
    assert not [process_id for process_id in process_ids if is_alive(process_id)]


def test_batch_job_fails_with_137_when_its_lifeline_is_killed(jobs: Jobs) -> None:
    job_id = jobs.submit("sh", "-c", "echo $$; echo $PPID; exec sleep 600")
    process_id, lifeline_id = map(int, jobs.wait_for_lines(job_id, 2))
    os.kill(lifeline_id, signal.SIGKILL)
    job = jobs.wait_for_end(job_id)
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 137)
    wait_for(lambda: not is_alive(process_id), what="the end of the process")
