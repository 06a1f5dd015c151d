"""Benchmark: database cost of one run of each tick, with increasing history."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any

from django.db.models.functions import Now

from scripts.bench.measures.database_cost import database_cost
from scripts.bench.measures.history import AtOnce, add_history, migrate
from tasks.conf import bridge_settings
from tasks.metrics.log_line import log_metrics
from tasks.metrics.tally import tally_ended
from tasks.models import Tick
from tasks.services.removal.purge import purge
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.alerts import alert_overdue, alert_stuck_runnable
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.observe import observe
from tasks.services.ticks.reap import reap
from tasks.services.ticks.rescue import rescue
from tasks.services.ticks.resume import resume_idle
from tasks.services.ticks.submit import submit_due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ACTIVE_JOBS = 200
RUNS = 5


def measured(finished: Iterable[int]) -> list[dict[str, Any]]:
    """Return one row per tick and size of history (in finished jobs): statements, blocks and milliseconds."""
    migrate()
    rows: list[dict[str, Any]] = []
    present = 0
    for jobs in sorted(finished):
        sys.stderr.write(f"Measuring with {jobs} finished jobs ...\n")
        add_history(first=present, until=jobs, active=ACTIVE_JOBS if present == 0 else 0)
        present = jobs
        rows += [{"finished_jobs": jobs, "tick": name, **_cost(body)} for name, body in _ticks().items()]
    return rows


def _ticks() -> dict[str, Callable[[], object]]:
    batch = AtOnce()
    since = Tick.objects.annotate(now=Now()).values_list("now", flat=True).first()
    return {
        "submit": lambda: (
            request_missing_jobs(limit=bridge_settings().submit_limit),
            submit_due(batch=batch),
            resolve_ambiguous(batch=batch),
        ),
        "observe": lambda: observe(batch=batch, tick=1),
        "rescue": lambda: (
            rescue(batch=batch, continuous_since=since),
            resume_idle(),
            alert_stuck_runnable(),
            alert_overdue(),
        ),
        "reap": lambda: reap(batch=batch),
        "purge": purge,
        "metrics": lambda: log_metrics(tally_ended()),
    }


def _cost(body: Callable[[], object]) -> dict[str, Any]:
    cost = database_cost(body, runs=RUNS)
    return {
        "statements": len(cost.statements) - 2,
        "blocks": cost.blocks,
        "ms": round(statistics.median(cost.times_ms), 1),
    }
