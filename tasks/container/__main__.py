"""Command line of the container program: `python -m tasks.container JOB ATTEMPT`.

The job definition runs it. Both arguments may come from the environment instead.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import uuid

from ..json_logs import write_json
from ..lifecycle.exit_codes import ExitCode
from .startup.unreadable import unreadable_settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description="Run one attempt of a job: claim it, then claim, run and finish units of the job until the video is"
        " published. AWS Batch runs this program; on a laptop it runs the same way against the same database.",
        epilog="Exit codes: "
        + ", ".join(f"{code.value} {code.name}" for code in ExitCode)
        + ". See docs/reference/exit-codes.md.",
    )
    parser.add_argument(
        "job_id", nargs="?", default=os.environ.get("VIDEO_JOB_ID"), help="UUID of the job (default: VIDEO_JOB_ID)"
    )
    parser.add_argument(
        "attempt",
        nargs="?",
        default=os.environ.get("VIDEO_JOB_ATTEMPT"),
        help="number of its attempt (default: VIDEO_JOB_ATTEMPT)",
    )
    arguments = parser.parse_args()
    try:
        arguments.job_id = uuid.UUID(arguments.job_id or "")
        arguments.attempt = int(arguments.attempt or "")
    except ValueError:
        parser.error(
            "JOB must be a UUID and ATTEMPT a number, on the command line or in VIDEO_JOB_ID and VIDEO_JOB_ATTEMPT; "
            f"got {arguments.job_id!r} and {arguments.attempt!r}"
        )
    return arguments


def _report_unreadable(error: Exception) -> None:
    """Log that the settings cannot be read, and why."""
    message = unreadable_settings(error)
    line = {"level": "ERROR", "event": "BATCH_JOB_FAILED", "exit_code": int(ExitCode.MISCONFIGURED), "text": message}
    sys.stderr.write(json.dumps(line) + "\n")


def _end_on_signals() -> None:
    """End at once on SIGTERM or SIGINT, until there is an attempt to end.

    The kernel drops signals to process 1 of a container that it does not handle (pid_namespaces(7)):
    a stopped container would start regardless, until SIGKILL.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        # Not SystemExit, which any import that is interrupted might catch.
        signal.signal(each, lambda *_: os._exit(ExitCode.TERMINATED))


def main() -> int:
    """Run the container program and return its exit code."""
    # Before the imports that take long, so that a container can always be stopped.
    _end_on_signals()
    from ..transcode.sandbox.privacy import hide_process  # noqa: PLC0415 - it imports the whole engine

    # Before any child: the environment contains credentials, and every child decodes a stranger's file.
    hide_process()
    arguments = _arguments()
    os.environ.setdefault("LOG_FORMAT", "json")
    import django  # noqa: PLC0415 - needs DJANGO_SETTINGS_MODULE

    try:
        django.setup()
    except Exception as error:  # noqa: BLE001 - a traceback would hide the cause, and may contain a password
        _report_unreadable(error)
        return int(ExitCode.MISCONFIGURED)
    if os.environ["LOG_FORMAT"] == "json":
        write_json()
    from .program import Program, check_settings  # noqa: PLC0415 - needs Django set up
    from .walls import log_walls  # noqa: PLC0415 - its logger needs Django set up

    if not check_settings():
        return int(ExitCode.MISCONFIGURED)
    log_walls()
    program = Program(
        job_id=arguments.job_id, number=arguments.attempt, batch_job_id=os.environ.get("AWS_BATCH_JOB_ID") or None
    )
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    signal.signal(signal.SIGINT, lambda *_: program.terminate())
    return int(program.run())


if __name__ == "__main__":
    sys.exit(main())
