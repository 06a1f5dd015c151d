"""Helper program that waits for Batch jobs like Airflow's operators, and reports the results.

Run it with an interpreter that has Airflow. Standard input: one line with the ids of the jobs;
closing it ends the program. Standard output: `ended ID` once the hook has reported the end of a
job, and finally `calls N`, the number of DescribeJobs calls.
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
    """Count one DescribeJobs call. A handler for botocore's events."""
    global calls  # noqa: PLW0603 - a program of one page
    with lock:
        calls += 1


def write_line(line: str) -> None:
    """Write one complete line. Thread-safe."""
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def wait_for(hook: BatchClientHook, job_id: str) -> None:
    """Wait for a job as BatchOperator does after submitting it."""
    with suppress(Exception):
        hook.wait_for_job(job_id)
    write_line(f"ended {job_id}")


def main() -> None:
    """Wait for all jobs, each in its own thread, because each has its own task in Airflow."""
    jobs = json.loads(sys.stdin.readline())
    hook = BatchClientHook(aws_conn_id=None, region_name=os.environ["AWS_DEFAULT_REGION"])
    hook.client.meta.events.register("before-call.batch.DescribeJobs", count)
    for job_id in jobs:
        threading.Thread(target=wait_for, args=(hook, job_id), daemon=True).start()
    sys.stdin.read()
    write_line(f"calls {calls}")
    os._exit(0)


if __name__ == "__main__":
    main()
