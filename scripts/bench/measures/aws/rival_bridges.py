"""Benchmark of following Batch jobs: this bridge, a naive one and Airflow's hook.

It measures the number of calls, and the delay until the end of a job is detected.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from django.db.models.functions import Now

from scripts.bench.measures.history import migrate
from tasks.batch.aws import aws_batch, batch_client
from tasks.conf import bridge_settings
from tasks.lifecycle.states import AttemptState
from tasks.models import Attempt, Job, Video
from tasks.services.ticks.observe import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAIVE_PERIOD_S = 10
"""The period with which Luigi, Nextflow and others poll each job, or all jobs."""
STRUCK_SHARE = 0.2
HEARTBEAT_S = 20
AIRFLOW_PROGRAM = Path(__file__).with_name("airflow_waits.py")


class Way:
    """One way to follow Batch jobs: the number of its calls, and when it detected the end of which job."""

    def __init__(self, name: str, jobs: Sequence[str]) -> None:
        self.name = name
        self.jobs = jobs
        self.calls = 0
        self.known_at_s: dict[str, float] = {}

    def count(self, **_: object) -> None:
        """Count one DescribeJobs call. A handler for botocore's events."""
        self.calls += 1

    def row(self, struck_at_s: dict[str, float], *, seconds: float) -> dict[str, Any]:
        """Return the row for the table. A delay that has not ended counts until now."""
        now_s = time.monotonic()
        delays_s = sorted(
            self.known_at_s.get(each, now_s) - struck_at_s[each] for each in self.jobs if each in struck_at_s
        )
        return {
            "way": self.name,
            "jobs": len(self.jobs),
            "describe_calls_per_min": round(self.calls * 60 / seconds, 1),
            "ends_known": f"{sum(each in self.known_at_s for each in struck_at_s if each in self.jobs)} of {len(delays_s)}",
            "median_delay_s": round(statistics.median(delays_s), 1),
            "worst_delay_s": round(delays_s[-1], 1),
        }


def measured(jobs: int, *, seconds: float, airflow: Path | None) -> list[dict[str, Any]]:
    """Follow `jobs` jobs in each way for `seconds`, at the same time.

    A fifth of them lose their instance at random times.
    """
    migrate()
    names = [
        "this bridge",
        f"one call per job every {NAIVE_PERIOD_S} s",
        *(["Airflow's BatchClientHook"] if airflow else []),
    ]
    ways = [Way(name, _running_jobs(jobs)) for name in names]
    stop = threading.Event()
    struck_at_s: dict[str, float] = {}
    followers: list[Callable[[], object]] = [
        lambda: _follow_by_bridge(ways[0], struck_at_s, stop),
        lambda: _follow_naively(ways[1], stop),
    ]
    if airflow:
        followers.append(lambda: _follow_by_airflow(ways[2], airflow, stop))
    with ThreadPoolExecutor(len(followers)) as pool:
        running = [pool.submit(follow) for follow in followers]
        _strike(ways, struck_at_s, seconds=seconds)
        stop.set()
        for each in running:
            each.result()
    return [way.row(struck_at_s, seconds=seconds) for way in ways]


def _running_jobs(count: int) -> list[str]:
    batch = boto3.client("batch")
    definition = f"sleep-{uuid.uuid4().hex[:8]}"
    batch.register_job_definition(
        jobDefinitionName=definition,
        type="container",
        containerProperties={
            "image": "sleep",
            "command": ["sleep", "7200"],
            "resourceRequirements": [{"type": "VCPU", "value": "0.05"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    queue = bridge_settings().job_queue
    ids = [batch.submit_job(jobName="sleeper", jobQueue=queue, jobDefinition=definition)["jobId"] for _ in range(count)]
    sys.stderr.write(f"Starting {count} jobs ...\n")
    while any(
        job["status"] != "RUNNING"
        for first in range(0, count, 100)
        for job in _described(batch, ids[first : first + 100])
    ):
        time.sleep(0.5)
    return ids


def _described(batch: Any, ids: Sequence[str]) -> list[Any]:
    return list(batch.describe_jobs(jobs=list(ids))["jobs"])


def _strike(ways: Sequence[Way], struck_at_s: dict[str, float], *, seconds: float) -> None:
    """Reclaim the instances of a fifth of each way's jobs, in the first two thirds of the duration."""
    dice = random.Random(1)  # noqa: S311 - not used for secrets
    chosen = [each for way in ways for each in way.jobs[: max(1, round(len(way.jobs) * STRUCK_SHARE))]]
    began_s = time.monotonic()
    for at_s, job_id in sorted((dice.uniform(0.1, 0.66) * seconds, job_id) for job_id in chosen):
        time.sleep(max(0.0, began_s + at_s - time.monotonic()))
        _plant({"kind": "spot_reclaim", "job_id": job_id})
        struck_at_s[job_id] = time.monotonic()
    time.sleep(max(0.0, began_s + seconds - time.monotonic()))


def _follow_by_bridge(way: Way, struck_at_s: dict[str, float], stop: threading.Event) -> None:
    """Run the observe tick on rows whose containers send heartbeats until they are lost."""
    videos = Video.objects.bulk_create(
        Video(title="v", source=f"sources/{number}.mp4") for number in range(len(way.jobs))
    )
    jobs = Job.objects.bulk_create(
        Job(video=video, source_name=str(video.source), state="RUNNING", fence=1, next_attempt_at=None)
        for video in videos
    )
    Attempt.objects.bulk_create(
        Attempt(
            job=job,
            number=1,
            state="SUBMITTED",
            vcpus=1,
            memory_mib=64,
            batch_job_name=str(job.pk),
            batch_job_id=batch_job_id,
        )
        for job, batch_job_id in zip(jobs, way.jobs, strict=True)
    )
    Attempt.objects.update(state="RUNNING", claimed_at=Now(), heartbeat_at=Now(), progressed_at=Now(), stage="encode")
    batch_client(retry=True).meta.events.register("before-call.batch.DescribeJobs", way.count)
    heartbeat_at_s = 0.0
    tick = 0
    while not stop.is_set():
        if time.monotonic() - heartbeat_at_s >= HEARTBEAT_S:
            heartbeat_at_s = time.monotonic()
            Attempt.objects.filter(state="RUNNING").exclude(batch_job_id__in=list(struck_at_s)).update(
                heartbeat_at=Now()
            )
        observe(batch=aws_batch(), tick=tick)
        tick += 1
        for batch_job_id in Attempt.objects.exclude(state=AttemptState.RUNNING).values_list("batch_job_id", flat=True):
            way.known_at_s.setdefault(str(batch_job_id), time.monotonic())
        stop.wait(bridge_settings().observe_tick_s)


def _follow_naively(way: Way, stop: threading.Event) -> None:
    """Poll each job separately, as most bridges do with one task per job."""
    batch = boto3.client("batch")
    batch.meta.events.register("before-call.batch.DescribeJobs", way.count)
    dice = random.Random(2)  # noqa: S311 - not used for secrets
    due_s = {each: time.monotonic() + dice.uniform(0, NAIVE_PERIOD_S) for each in way.jobs}
    while not stop.wait(0.05):
        now_s = time.monotonic()
        for each in [each for each, at_s in due_s.items() if at_s <= now_s]:
            (job,) = _described(batch, [each])
            due_s[each] = now_s + NAIVE_PERIOD_S
            if job["status"] == "FAILED":
                way.known_at_s[each] = time.monotonic()
                del due_s[each]


def _follow_by_airflow(way: Way, interpreter: Path, stop: threading.Event) -> None:
    """Run Airflow's hook in another interpreter.

    It writes a line per job that ended, and finally the number of calls.
    """
    program = subprocess.Popen(
        [str(interpreter), str(AIRFLOW_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert program.stdin is not None  # noqa: S101 - it is a pipe, see above
    assert program.stdout is not None  # noqa: S101 - as above
    program.stdin.write(json.dumps(way.jobs) + "\n")
    program.stdin.flush()
    output = program.stdout

    def read() -> None:
        for line in output:
            match line.split():
                case ["ended", job_id]:
                    way.known_at_s[job_id] = time.monotonic()
                case ["calls", count]:
                    way.calls = int(count)
                case _:
                    # Airflow also logs to standard output.
                    continue

    reader = threading.Thread(target=read)
    reader.start()
    stop.wait()
    program.stdin.close()
    reader.join(timeout=30)
    program.kill()
    program.wait()


def _plant(document: dict[str, Any]) -> None:
    connection = http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=30)
    connection.request("POST", "/local-batch/faults", body=json.dumps(document))
    connection.getresponse().read()
    connection.close()
