"""Benchmark: how many heartbeats per second the database handles, as sent by containers, and what limits it."""

from __future__ import annotations

import statistics
import time
import uuid
from typing import Any

from django.db import connection

from scripts.bench.measures.history import add_history, migrate
from scripts.bench.measures.in_processes import in_processes
from tasks.models import Attempt
from tasks.services.container_api.claim import Claim
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat

ACTIVE_JOBS = 10_000
PROCESSES = 4
BEATS = 500
"""Heartbeats sent by each process."""


def measured() -> list[dict[str, Any]]:
    """Return one row for heartbeats on new connections and one for a persistent connection.

    Containers send them on new connections. The difference is the cost of connecting.
    """
    migrate()
    add_history(first=0, until=0, active=ACTIVE_JOBS)
    Attempt.objects.update(claim_id=uuid.UUID(int=1))
    return [_row("new connection each", _beats_on_new_connections), _row("persistent connection", _beats_on_one)]


def _row(way: str, work: Any) -> dict[str, Any]:
    began = time.monotonic()
    results = in_processes(work, count=PROCESSES)
    times_ms = sorted(time_ms for times in results for time_ms in times)
    busy_s = max(sum(times) / 1000 for times in results)
    return {
        "way": way,
        "processes": PROCESSES,
        "beats_per_s": round(len(times_ms) / busy_s),
        "median_ms": round(statistics.median(times_ms), 1),
        "p99_ms": round(times_ms[len(times_ms) * 99 // 100], 1),
        "wall_s": round(time.monotonic() - began, 1),
    }


def _beats_on_new_connections(number: int) -> list[float]:
    return [_beat_ms(claim, keep=False) for claim in _claims(number)]


def _beats_on_one(number: int) -> list[float]:
    return [_beat_ms(claim, keep=True) for claim in _claims(number)]


def _claims(number: int) -> list[Claim]:
    rows = Attempt.objects.filter(state="RUNNING").order_by("pk")[number * BEATS : (number + 1) * BEATS]
    return [
        Claim(
            attempt_id=row.pk,
            job_id=row.job_id,
            number=row.number,
            claim_id=uuid.UUID(int=1),
            source_name="",
            profile="",
            vcpus=1,
        )
        for row in rows
    ]


def _beat_ms(claim: Claim, *, keep: bool) -> float:
    began = time.perf_counter()
    if not keep:
        connection.close()
    response = send_heartbeat(claim, stage="encode", count=time.monotonic_ns(), encoded_frames=2)
    if not keep:
        connection.close()
    if response is not HeartbeatReply.ALIVE:
        message = f"a heartbeat returned {response}"
        raise RuntimeError(message)
    return (time.perf_counter() - began) * 1000
