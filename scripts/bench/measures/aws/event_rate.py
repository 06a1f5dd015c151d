"""Benchmark: events of AWS Batch that one listener applies in a second, without the calls to SQS."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction

from scripts.bench.measures.history import migrate
from tasks.batch.event_queue import Message
from tasks.listener import Listener
from tasks.models import Attempt, Job, Video
from tests.batch_events import job_event

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUSES = ("RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED")


def measured(jobs: int) -> list[dict[str, Any]]:
    """Return a row for the events of all statuses of these Batch jobs, and one for the same events again."""
    migrate()
    attempts = _submitted(jobs)
    bodies = [job_event(attempt, status) for status in _STATUSES for attempt in attempts]
    return [_rate("first delivery", bodies), _rate("delivered again", bodies)]


def _rate(label: str, bodies: Iterable[str]) -> dict[str, Any]:
    messages = [Message(body=body, receipt="", message_id=str(number), age_s=0) for number, body in enumerate(bodies)]
    with tempfile.TemporaryDirectory() as folder:
        listener = Listener(health_file=Path(folder) / "health")
        cpu_s, began_s = time.process_time(), time.monotonic()
        # As in production: a time limit and a connection to the database for each event.
        applied = sum(listener._handle(message) for message in messages)  # noqa: SLF001 - the round without its calls
        passed_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    if applied != len(messages):
        error = f"{len(messages) - applied} events were not applied"
        raise RuntimeError(error)
    return {
        "events": label,
        "number": len(messages),
        "per_s": round(len(messages) / passed_s),
        "ms": round(1000 * passed_s / len(messages), 1),
        "cpu_ms": round(1000 * cpu_s / len(messages), 1),
    }


@transaction.atomic
def _submitted(jobs: int) -> list[Attempt]:
    attempts = []
    for number in range(jobs):
        video = Video.objects.create(title=str(number))
        job = Job.objects.create(
            video=video, state="QUEUED", fence=1, next_attempt_at=None, source_name=str(number), profile="fast"
        )
        attempts.append(
            Attempt.objects.create(
                job=job,
                number=1,
                state="SUBMITTED",
                batch_job_name=f"batchreel-{job.pk}-1",
                batch_job_id=f"bench-{number}",
                vcpus=1,
                memory_mib=128,
                timeout_s=3600,
            )
        )
    return attempts
