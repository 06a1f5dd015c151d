"""Benchmark: seconds from a change of a Batch job's status to its row, by events and by polling only."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from django.conf import settings
from django.db import connection

from project.local.aws.resources import JOB_QUEUE, ensure_event_queue
from scripts.bench.measures.history import migrate
from tasks.batch.aws import aws_batch
from tasks.conf import bridge_settings
from tasks.models import Attempt, Event, Job, Video
from tasks.services.ticks.observe import observe
from tests.batch_faults import Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).resolve().parents[4]
_EVERY_S = 0.5
"""Seconds between two submissions: the ticks see them at any age."""
_RUNS_S = 3
_LIMIT_S = 120
_RANKS = {"RUNNING": 1, "SUCCEEDED": 2, "FAILED": 2}
_ORDERED = (("event_doubled", 0.10), ("event_reordered", 0.20))
_ALL = (("event_dropped", 0.05), *_ORDERED)


def measured(jobs: int) -> list[dict[str, Any]]:
    """Return a row for polling only, for events of which none is lost, and for events of which 5 % are."""
    migrate()
    polled = _run(jobs, url="", faults=(), label="polling only")
    # Only now, or the queue would be full of events that nobody received.
    url = ensure_event_queue(os.environ)
    return [
        polled,
        _run(jobs, url=url, faults=_ORDERED, label="events, 10 % doubled, 20 % reordered"),
        _run(jobs, url=url, faults=_ALL, label="the same, 5 % dropped"),
    ]


def _run(jobs: int, *, url: str, faults: Sequence[tuple[str, float]], label: str) -> dict[str, Any]:
    settings.VIDEO_BATCH_EVENT_QUEUE_URL = url
    bridge_settings.cache_clear()
    planted = Faults()
    for kind, share in faults:
        planted.inject(kind, share=share, seed=7, times=None)
    ended = threading.Event()
    ticks = threading.Thread(target=_tick, args=(ended,), daemon=True)
    with tempfile.TemporaryDirectory() as folder:
        listener = _listener(url, Path(folder)) if url else None
        ticks.start()
        try:
            names = _submit(jobs)
            delays_s = _delays_s(names)
        finally:
            ended.set()
            ticks.join()
            if listener is not None:
                listener.terminate()
                listener.wait(timeout=30)
            planted.reset()
    delays_s.sort()
    return {
        "way": label,
        "changes": len(delays_s),
        "p50_s": round(_quantile(delays_s, 0.5), 2),
        "p95_s": round(_quantile(delays_s, 0.95), 2),
        "p99_s": round(_quantile(delays_s, 0.99), 2),
        "max_s": round(delays_s[-1], 2),
    }


def _listener(url: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "manage.py", "listen", "--health-file", str(folder / "health")]
    environment = {**os.environ, "VIDEO_BATCH_EVENT_QUEUE_URL": url}
    process = subprocess.Popen(command, cwd=_ROOT, env=environment)
    until_s = time.monotonic() + 60
    while not (folder / "health").exists():
        if process.poll() is not None or time.monotonic() > until_s:
            message = "the listener did not start"
            raise RuntimeError(message)
        time.sleep(0.1)
    return process


def _tick(ended: threading.Event) -> None:
    number = 0
    while not ended.wait(bridge_settings().observe_tick_s):
        number += 1
        observe(batch=aws_batch(), tick=number)
    connection.close()


def _submit(jobs: int) -> list[str]:
    batch = boto3.client("batch")
    definition = f"sleep-{uuid.uuid4().hex[:8]}"
    resources: Any = [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "128"}]
    batch.register_job_definition(
        jobDefinitionName=definition,
        type="container",
        containerProperties={"image": "x", "command": ["sleep", str(_RUNS_S)], "resourceRequirements": resources},
    )
    names = []
    for _ in range(jobs):
        name = f"bench-{uuid.uuid4().hex[:12]}"
        job = Job.objects.create(
            video=Video.objects.create(title=name),
            state="QUEUED",
            next_attempt_at=None,
            source_name=name,
            profile="fast",
        )
        sizes = {"vcpus": 1, "memory_mib": 128, "timeout_s": 3600}
        attempt = Attempt.objects.create(job=job, number=1, state="SUBMITTED", batch_job_name=name, **sizes)
        submitted = batch.submit_job(jobName=name, jobQueue=JOB_QUEUE, jobDefinition=definition)
        Attempt.objects.filter(pk=attempt.pk).update(batch_job_id=submitted["jobId"])
        names.append(name)
        time.sleep(_EVERY_S)
    return names


def _delays_s(names: list[str]) -> list[float]:
    """Return the delays of all changes to RUNNING and of all ends, once the rows have them."""
    attempts = Attempt.objects.filter(batch_job_name__in=names)
    until_s = time.monotonic() + _LIMIT_S
    while attempts.exclude(batch_status__in=["SUCCEEDED", "FAILED"]).exists():
        if time.monotonic() > until_s:
            message = "the rows do not have all ends"
            raise RuntimeError(message)
        time.sleep(0.5)
    batch = boto3.client("batch")
    delays_s = []
    for attempt in attempts:
        (job,) = batch.describe_jobs(jobs=[str(attempt.batch_job_id)])["jobs"]
        written = Event.objects.filter(kind="batch.status", job_id=attempt.job_id).order_by("id")
        for status, at_ms in (("RUNNING", job["startedAt"]), ("SUCCEEDED", job["stoppedAt"])):
            seen = next(each for each in written if _RANKS.get(each.to_state, 0) >= _RANKS[status])
            delays_s.append(seen.created_at.timestamp() - at_ms / 1000)
    return delays_s


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
