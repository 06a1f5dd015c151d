"""What a piece of code costs the database: statements, pages and milliseconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection
from django.test.utils import CaptureQueriesContext

from scripts.bench.measures.history import blocks

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCost:
    """Times of several runs, and what one more run did."""

    times_ms: list[float]
    statements: list[dict[str, str]]
    blocks: int


def database_cost(body: Callable[[], object], *, runs: int) -> DatabaseCost:
    """Run `body` once to warm the caches, then `runs` times, then once more to count."""
    body()
    times_ms = []
    for _ in range(runs):
        began = time.perf_counter()
        body()
        times_ms.append((time.perf_counter() - began) * 1000)
    with CaptureQueriesContext(connection) as captured:
        before = blocks()
        body()
        touched = blocks() - before
    return DatabaseCost(times_ms=times_ms, statements=captured.captured_queries, blocks=touched)
