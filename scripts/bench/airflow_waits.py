"""Waits for Batch jobs as Airflow's operators do, and says what it saw. Run by an interpreter that has Airflow, not by ours.

Standard input: a line with the ids of the jobs, then nothing until it is closed, which ends this program. Standard output: `ended ID` once
the hook has told of the end of a job, and `calls N`, the DescribeJobs calls so far.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

calls = 0
lock = threading.Lock()


def count(**_: object) -> None:
    """Count one DescribeJobs; a handler for botocore's events."""
    global calls  # noqa: PLW0603 - a program of one page
    with lock:
        calls += 1


def say(line: str) -> None:
    """Write one whole line, whichever thread says it."""
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def wait_for(hook: BatchClientHook, job_id: str) -> None:
    """What BatchOperator does once it has submitted a job."""
    with suppress(Exception):
        hook.wait_for_job(job_id)
    say(f"ended {job_id}")


def main() -> None:
    """Wait for all jobs, each in a thread, as each has a task of its own in Airflow."""
    jobs = json.loads(sys.stdin.readline())
    hook = BatchClientHook(aws_conn_id=None, region_name=os.environ["AWS_DEFAULT_REGION"])
    hook.client.meta.events.register("before-call.batch.DescribeJobs", count)
    for job_id in jobs:
        threading.Thread(target=wait_for, args=(hook, job_id), daemon=True).start()
    sys.stdin.read()
    say(f"calls {calls}")
    os._exit(0)


if __name__ == "__main__":
    main()
