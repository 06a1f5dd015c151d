"""Runner for the containers of the local AWS Batch: local processes, each under a lifeline.

Each process has its own session. The endpoint's own environment replaces what a container image and
the definition's secrets would provide. As in a container, no child process survives the main
process. One image can be selected to run in Docker instead.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from project.local.batch.docker_container import DOCKER_FAILED_EXIT_CODE, docker_command, remove_container
from project.local.batch.faults.plan import FaultKind
from project.local.batch.job import START_FAILED
from project.local.servers.lifeline import lifeline_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from project.local.batch.container_logs import ContainerLogs
    from project.local.batch.faults.plan import FaultTable
    from project.local.batch.job import BatchJob, ContainerRun
    from project.local.batch.jobs import JobTable

STOP_GRACE_S = 30.0
"""Seconds between SIGTERM and SIGKILL if a job is terminated or times out (job_timeouts.html)."""

_LINE_LIMIT_CHARACTERS = 16 * 1024  # Docker's awslogs driver splits longer lines
_OUTPUT_END_LIMIT_S = 5.0
_HANG_POLL_S = 0.1


class ContainerRunner:
    """Runner for the jobs that the table allows to start.

    Each runs in its own thread, which records its end. `python` in a command is this program's own
    interpreter, with the same packages, or with `own_python=False` the one on the environment's PATH.
    """

    def __init__(
        self,
        table: JobTable,
        logs: ContainerLogs,
        *,
        environment: Mapping[str, str],
        folder: Path,
        own_python: bool = True,
        faults: FaultTable,
        docker_image: str = "",
    ) -> None:
        self._docker_image = docker_image
        self._table = table
        self._faults = faults
        self._logs = logs
        search_path = environment.get("PATH", os.defpath)
        if own_python:
            search_path = os.pathsep.join((str(Path(sys.executable).parent), search_path))
        self._environment = {**environment, "PATH": search_path, "PYTHONUNBUFFERED": "1"}
        self._folder = folder

    def start_jobs_forever(self) -> None:
        """Start jobs as soon as they can start. Never returns; call it in its own thread."""
        while True:
            for job in self._table.next_to_start():
                threading.Thread(target=self._run, args=(job,), name=f"job-{job.job_id}", daemon=True).start()

    def _run(self, job: BatchJob) -> None:
        run = job.run
        if run is None or self._start_fails(job):
            return
        try:
            process = self._start(job, self._container_environment(job, run))
        except (OSError, ValueError) as error:
            reason = f"CannotStartContainerError: {error}"
            self._table.mark_ended(job, exit_code=None, reason=reason, status_reason=START_FAILED)
            return
        log_stream_name = f"{job.submission.log_stream_prefix}/default/{run.task_id}"
        append_line = self._logs.open_stream(
            region=job.submission.queue.region, group=job.submission.log_group, stream=log_stream_name
        )
        reader = threading.Thread(target=_copy_lines, args=(process.stdout, append_line), daemon=True)
        reader.start()
        kill = partial(self._kill, job, process)
        self._table.mark_running(job, stop=process.terminate, kill=kill, log_stream_name=log_stream_name)
        exit_code = self._wait(job, process)
        reader.join(_OUTPUT_END_LIMIT_S)
        if self._is_docker(job):
            remove_container(job)
            if exit_code == DOCKER_FAILED_EXIT_CODE:
                reason = "CannotStartContainerError: docker run failed; see the log for its output"
                self._table.mark_ended(job, exit_code=None, reason=reason, status_reason=START_FAILED)
                return
        if run.loss is not None:
            run.loss.delay_report()
        self._table.mark_ended(job, exit_code=exit_code)

    def _start_fails(self, job: BatchJob) -> bool:
        if slow := self._faults.take({FaultKind.SLOW_START}, job_name=job.submission.name):
            self._faults.pause(slow.hold_s or 0.0)()
        fault = self._faults.take({FaultKind.IMAGE_PULL, FaultKind.START_HANG}, job_name=job.submission.name)
        if fault is None:
            return False
        reason = fault.reason or "CannotPullContainerError: pull image manifest has been retried 5 time(s)"
        if fault.kind is FaultKind.START_HANG:
            reason = self._hang(job)
        self._table.mark_ended(job, exit_code=None, reason=reason, status_reason=START_FAILED)
        return True

    def _hang(self, job: BatchJob) -> str:
        """Stay in STARTING until the job is terminated or the faults are removed.

        Return Batch's reason.
        """
        ended = threading.Event()
        self._table.mark_hanging(job, stop=ended.set)
        released = self._faults.released()
        while not ended.wait(_HANG_POLL_S) and not released.is_set():
            pass
        return (
            ""
            if ended.is_set()
            else "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"
        )

    def _is_docker(self, job: BatchJob) -> bool:
        return bool(self._docker_image) and job.submission.image == self._docker_image

    def _kill(self, job: BatchJob, process: subprocess.Popen[str]) -> None:
        process.kill()
        if self._is_docker(job):
            remove_container(job)

    def _start(self, job: BatchJob, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start the process.

        Raises OSError if the command does not exist or cannot be started, ValueError if it is
        invalid.
        """
        in_docker = self._is_docker(job)
        command = docker_command(job, environment) if in_docker else list(job.submission.command)
        program = command[0] if command else ""
        if shutil.which(program, path=environment["PATH"]) is None:
            raise FileNotFoundError(errno.ENOENT, "executable file not found in $PATH", program)
        return subprocess.Popen(
            lifeline_command(
                command,
                stop_signal=signal.SIGTERM,
                grace_s=STOP_GRACE_S,
                # Docker's client forwards SIGTERM to the container. If it is killed, the container
                # keeps running.
                orphan_grace_s=STOP_GRACE_S if in_docker else 0,
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=dict(environment),
            cwd=self._folder,
            start_new_session=True,
        )

    def _wait(self, job: BatchJob, process: subprocess.Popen[str]) -> int:
        try:
            exit_code = process.wait(job.submission.timeout_s)
        except subprocess.TimeoutExpired:
            self._table.mark_timed_out(job)
            process.terminate()
            exit_code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        # Only a killed lifeline ends by a signal itself. The container died with it, so report the
        # same exit code as Docker.
        return exit_code if exit_code >= 0 else 128 - exit_code

    def _container_environment(self, job: BatchJob, run: ContainerRun) -> dict[str, str]:
        return {
            **self._environment,
            **job.submission.environment,
            # docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
            "AWS_BATCH_JOB_ID": job.job_id,
            "AWS_BATCH_JOB_ATTEMPT": str(run.number),
            "AWS_BATCH_JQ_NAME": job.submission.queue.name,
            "AWS_BATCH_CE_NAME": run.compute_arn.rpartition("/")[2],
        }


def _copy_lines(output: IO[str], append_line: Callable[[str], None]) -> None:
    with output:
        while line := output.readline(_LINE_LIMIT_CHARACTERS):
            append_line(line.rstrip("\n"))
