#!/usr/bin/env python
"""Measures what a tick costs the database while history grows: see --help."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """\
Each size of history is that of a site which published so many videos: a video, a succeeded job, its attempt and its
units. On top of it, 200 jobs are under way. Then the body of each tick runs, several times, against an endpoint that
answers at once, so that what is measured is the database's share.

  statements   SQL statements of one run
  blocks       pages of 8 KiB that PostgreSQL touched in one run: unlike time, no matter how busy the machine is
  ms           median time of one run

A tick whose blocks grow with the history would one day take longer than its period.
"""
ACTIVE_JOBS = 200
RUNS = 5


def main() -> int:
    """Run the measurement in a database of its own, which is deleted afterwards."""
    options = _parser().parse_args()
    if os.environ.get("BENCH_DATABASE") != "own":
        return _in_own_stack()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # noqa: PLC0415 - after the settings are named

    django.setup()
    from history import add_history, migrate  # noqa: PLC0415 - models need Django

    migrate()
    rows = []
    present = 0
    for jobs in sorted(options.finished):
        sys.stderr.write(f"{jobs} finished jobs ...\n")
        add_history(first=present, until=jobs, active=ACTIVE_JOBS if present == 0 else 0)
        present = jobs
        rows += [{"finished_jobs": jobs, "tick": name, **_cost(body)} for name, body in _ticks().items()]
    print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/bridge.py",
        description="Measure what one run of each tick costs the database, with little and with much history.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--finished",
        type=int,
        nargs="+",
        default=[1_000, 100_000],
        metavar="N",
        help="sizes of history, in finished jobs (default: 1000 100000)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here as well")
    return parser


def _in_own_stack() -> int:
    """Run this program again with a PostgreSQL and a Redis of its own."""
    import subprocess  # noqa: PLC0415 - only here

    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        command = [sys.executable, "-m", "project.local", "exec", "--state", state, "--", sys.executable, *sys.argv]
        environment = {**os.environ, "BENCH_DATABASE": "own", "SECRET_KEY": "bench" * 12}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _ticks() -> dict[str, Callable[[], object]]:
    from django.db.models.functions import Now  # noqa: PLC0415 - after Django is set up
    from history import AtOnce  # noqa: PLC0415

    from tasks.conf import bridge_settings  # noqa: PLC0415
    from tasks.models import Tick  # noqa: PLC0415
    from tasks.services.doubt import resolve_doubts  # noqa: PLC0415
    from tasks.services.observe import observe  # noqa: PLC0415
    from tasks.services.reap import reap  # noqa: PLC0415
    from tasks.services.request import request_overlooked  # noqa: PLC0415
    from tasks.services.rescue import rescue  # noqa: PLC0415
    from tasks.services.resume import resume_idle  # noqa: PLC0415
    from tasks.services.submit import submit_due  # noqa: PLC0415
    from tasks.services.waiting import note_waiting  # noqa: PLC0415

    batch = AtOnce()
    since = Tick.objects.annotate(now=Now()).values_list("now", flat=True).first()
    return {
        "submit": lambda: (
            request_overlooked(limit=bridge_settings().submit_batch_jobs),
            submit_due(batch=batch),
            resolve_doubts(batch=batch),
        ),
        "observe": lambda: observe(batch=batch, tick=1),
        "rescue": lambda: (rescue(batch=batch, unbroken_since=since), resume_idle(), note_waiting()),
        "reap": lambda: reap(batch=batch),
    }


def _cost(body: Callable[[], object]) -> dict[str, Any]:
    from django.db import connection  # noqa: PLC0415 - after Django is set up
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    body()  # what is left to do once is done, and the cache is warm
    times_ms = []
    for _ in range(RUNS):
        began = time.perf_counter()
        body()
        times_ms.append((time.perf_counter() - began) * 1000)
    with CaptureQueriesContext(connection) as statements:
        before = _blocks()
        body()
        blocks = _blocks() - before
    return {"statements": len(statements) - 2, "blocks": blocks, "ms": round(statistics.median(times_ms), 1)}


def _blocks() -> int:
    """Pages that this database's statements have touched so far."""
    from django.db import connection  # noqa: PLC0415 - after Django is set up

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'finished jobs':>13} {'tick':>8} {'statements':>10} {'blocks':>9} {'ms':>8}"]
    lines += [
        f"{row['finished_jobs']:>13} {row['tick']:>8} {row['statements']:>10} {row['blocks']:>9} {row['ms']:>8}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
