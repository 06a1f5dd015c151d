"""`python -m tasks.container JOB ATTEMPT`: what the job definition runs. The same numbers may come from the environment."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import uuid

from ..lifecycle.exit_codes import ExitCode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.container",
        description="Work on one attempt of one job: claim it, then claim units of it, do them and finish them, until the video is"
        " published. AWS Batch runs this; on a laptop it runs the same way against the same database.",
        epilog="Exit codes: "
        + ", ".join(f"{code.value} {code.name}" for code in ExitCode)
        + ". See docs/exit-codes.md.",
    )
    parser.add_argument(
        "job_id", nargs="?", default=os.environ.get("VIDEO_JOB_ID"), help="the job (default: VIDEO_JOB_ID)"
    )
    parser.add_argument(
        "attempt",
        nargs="?",
        default=os.environ.get("VIDEO_JOB_ATTEMPT"),
        help="its attempt's number (default: VIDEO_JOB_ATTEMPT)",
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
    """Say that the settings cannot be read, without the error's own words: they may hold a part of an address with a password."""
    given = ", ".join(name for name in ("DATABASE_URL", "REDIS_URL", "BATCHREEL") if os.environ.get(name)) or "none"
    message = (
        f"{os.environ['DJANGO_SETTINGS_MODULE']} cannot be read: {type(error).__name__}. Of the settings that are not"
        f" plain texts, these are given: {given}. Run `manage.py check` with the same environment."
    )
    line = {"level": "ERROR", "event": "BATCH_JOB_FAILED", "exit_code": int(ExitCode.MISCONFIGURED), "text": message}
    sys.stderr.write(json.dumps(line) + "\n")


def main() -> int:
    """Run the container program; the exit code."""
    arguments = _arguments()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    os.environ.setdefault("LOG_FORMAT", "json")
    import django  # noqa: PLC0415 - only once the settings are named

    try:
        django.setup()
    except Exception as error:  # noqa: BLE001 - a traceback would hide what is wrong, and may hold a password
        _report_unreadable(error)
        return int(ExitCode.MISCONFIGURED)
    from .program import Program, check_settings  # noqa: PLC0415 - needs Django set up

    if not check_settings():
        return int(ExitCode.MISCONFIGURED)
    program = Program(
        job_id=arguments.job_id, number=arguments.attempt, batch_job_id=os.environ.get("AWS_BATCH_JOB_ID") or None
    )
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    signal.signal(signal.SIGINT, lambda *_: program.terminate())
    return int(program.run())


if __name__ == "__main__":
    sys.exit(main())
