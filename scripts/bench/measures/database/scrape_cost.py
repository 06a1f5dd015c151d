"""Benchmark: cost of one scrape of /metrics, with increasing history and with a backlog."""

from __future__ import annotations

import secrets
import statistics
import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from scripts.bench.measures.database_cost import database_cost
from scripts.bench.measures.history import add_backlog, add_history, migrate

if TYPE_CHECKING:
    from collections.abc import Iterable

ACTIVE_JOBS = 200
BACKLOG_JOBS = 20_000
RUNS = 20


def measured(finished: Iterable[int]) -> list[dict[str, Any]]:
    """Return one row for each size of history (in finished jobs), and one for the last with a backlog of due jobs."""
    migrate()
    settings.METRICS_TOKEN = secrets.token_urlsafe(24)
    settings.ALLOWED_HOSTS = ["*"]
    rows: list[dict[str, Any]] = []
    present = 0
    for jobs in sorted(finished):
        sys.stderr.write(f"Measuring with {jobs} finished jobs ...\n")
        add_history(first=present, until=jobs, active=ACTIVE_JOBS if present == 0 else 0)
        present = jobs
        rows.append({"finished_jobs": jobs, "waiting_jobs": 0, **_cost()})
    sys.stderr.write(f"Measuring with {BACKLOG_JOBS} waiting jobs ...\n")
    add_backlog(BACKLOG_JOBS)
    rows.append({"finished_jobs": present, "waiting_jobs": BACKLOG_JOBS, **_cost()})
    return rows


def _cost() -> dict[str, Any]:
    client = Client()
    headers = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}

    def scrape() -> int:
        response = client.get(reverse("batchreel:metrics"), headers=headers)
        assert response.status_code == 200, response.status_code  # noqa: PLR2004, S101 - a scrape that fails costs nothing
        return len(response.content)

    cost = database_cost(scrape, runs=RUNS)
    return {
        "statements": len(cost.statements) - 4,
        "blocks": cost.blocks,
        "ms": round(statistics.median(cost.times_ms), 1),
        "least_ms": round(min(cost.times_ms), 1),
        "server_ms": round(_server_ms(cost.statements), 1),
        "bytes": scrape(),
    }


def _server_ms(statements: Iterable[dict[str, str]]) -> float:
    """Return the sum of the times that PostgreSQL itself reports for planning and running the queries."""
    total_ms = 0.0
    with connection.cursor() as cursor:
        for statement in statements:
            if statement["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement['sql']}")
                (explained,) = cursor.fetchone()
                total_ms += explained[0]["Planning Time"] + explained[0]["Execution Time"]
    return total_ms
