"""Benchmark of the list of videos: see --help."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

HERE = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("BENCH_CHECKOUT", HERE))
"""The checkout whose pages are measured."""
sys.path.insert(0, str(ROOT))

_EPILOG = """\
A database with that many videos of 200 owners, which is deleted afterwards; 94 % are published, 2 % are being made, the others
have failed. A member of staff who sees all of them requests each address from the site's code, without a web server.
  queries   SQL statements of one request
  cpu       median ms of CPU time of a request, without PostgreSQL: independent of the machine's load
  least     ms of the fastest request: that of an idle machine
  median    ms of a request
  p99       ms that 99 % of the requests take at most
With --beside, the same for another checkout first; its virtual environment must exist. It gets the addresses that it has.
"""

_PLAIN = ("/", "/?page={middle}", "/?page={last}")
_NARROWED = (
    *("/?q=Lecture+77", "/?q=owner77", "/?status=making", "/?status=failed", "/?status=ready", "/?owner={owner}"),
    *("/?sort=oldest", "/?sort=title", "/?sort=longest", "/?q=lecture&status=ready&sort=longest&page={middle}"),
)

_ROWS = (
    """
    INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
    SELECT 'owner' || n, '', 'Ada', 'Lovelace ' || n, '', false, false, true, now() FROM generate_series(1, 200) n
    """,
    """
    INSERT INTO batchreel_video (id, title, source, requested_source, source_complete, created_at, owner_id)
    SELECT md5('video' || n)::uuid, 'Lecture ' || n, 'sources/' || n, 'sources/' || n, true, now() - n * interval '1 minute',
        (SELECT min(id) FROM auth_user WHERE username LIKE 'owner%%') + n %% 200
    FROM generate_series(1, %(videos)s) n
    """,
    # Two versions of each video: the list shows the newer one.
    """
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, state, fence, budget_from, next_attempt_at, reason,
        reason_message, playlist_key, poster_key, duration_s, created_at, finished_at, tallied)
    SELECT md5('job' || version || n)::uuid, md5('video' || n)::uuid, 'sources/' || n, 'standard', version = 1, state, 1, 0, NULL,
        CASE WHEN state IN ('SUCCEEDED', 'RUNNING') THEN '' ELSE 'DAMAGED' END, '', 'master.m3u8', 'poster.jpg', n %% 7200,
        now() - n * interval '1 minute' + version * interval '1 second', CASE WHEN state <> 'RUNNING' THEN now() END, true
    FROM generate_series(1, %(videos)s) n, generate_series(1, 2) version, LATERAL (SELECT CASE
        WHEN n %% 100 < 2 AND version = 2 THEN 'RUNNING' WHEN n %% 100 < 4 THEN 'FAILED' WHEN n %% 100 = 4 THEN 'DEAD'
        WHEN n %% 100 = 5 THEN 'CANCELLED' ELSE 'SUCCEEDED' END AS state) states
    """,
    """
    INSERT INTO batchreel_attempt (job_id, number, state, reason, reason_message, counted, vcpus, memory_mib, timeout_s, batch_job_name,
        batch_job_id, created_at, lookup_misses, claimed_at, heartbeat_at, progressed_at, stage, count, encoded_frames, units_in_progress,
        batch_status, batch_status_reason, batch_log_stream, missing_responses, tallied, ended_at)
    SELECT id, 1, CASE WHEN is_over THEN 'FAILED' ELSE 'RUNNING' END, CASE WHEN is_over THEN 'EXIT_CODE' ELSE '' END, '', is_over,
        2, 3500, 86400, 'batchreel-' || id, 'batch-' || id, now(), 0, now(), now(), now(), 'encode', 1, 1, '[]',
        CASE WHEN is_over THEN 'FAILED' ELSE 'RUNNING' END, '', '', 0, is_over, CASE WHEN is_over THEN now() END
    FROM batchreel_job, LATERAL (SELECT state <> 'RUNNING' AS is_over) ended
    """,
    """
    INSERT INTO batchreel_unit (job_id, kind, index, first_frame, end_frame, weight_frames, state, fence, lease_id)
    SELECT id, 'video', n, n, n + 1, 1, 'PENDING', 0, '' FROM batchreel_job, generate_series(0, 99) n WHERE state = 'RUNNING'
    """,
    """
    UPDATE batchreel_video SET published_job_id = job.id FROM batchreel_job job
    WHERE job.video_id = batchreel_video.id AND job.state = 'SUCCEEDED' AND NOT job.automatic
    """,
    "ANALYZE",
)


def main() -> int:
    """Measure each checkout in its own database."""
    options = _parser().parse_args()
    if os.environ.get("BENCH_DATABASE") == "own":
        for line in _measured(options.videos, options.requests):
            print(line, flush=True)
        return 0
    codes = []
    for checkout in filter(None, (options.checkout, HERE)):
        print(f"{checkout}:" if options.checkout else "", flush=True)
        codes.append(_in_own_stack(checkout.resolve(), options))
    return max(codes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/pages.py",
        description="How long does the list of videos take, and how many queries?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--videos", type=int, default=10_000, metavar="N", help="videos (default: 10000)")
    parser.add_argument(
        "--requests", type=int, default=200, metavar="N", help="requests of each address (default: 200)"
    )
    parser.add_argument(
        "--beside", dest="checkout", type=Path, metavar="CHECKOUT", help="also measure another checkout of the project"
    )
    return parser


def _in_own_stack(checkout: Path, options: argparse.Namespace) -> int:
    """Run this program again with its own PostgreSQL and the code of that checkout."""
    own = {"BENCH_DATABASE": "own", "BENCH_CHECKOUT": str(checkout), "SECRET_KEY": "bench" * 12, "LOG_LEVEL": "ERROR"}
    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        command = [
            str(checkout / ".local" / "venv" / "bin" / "python"),
            "-m",
            "project.local",
            "exec",
            "--state",
            state,
        ]
        this = [sys.executable, __file__, "--videos", str(options.videos), "--requests", str(options.requests)]
        return subprocess.run([*command, "--", *this], cwd=checkout, env={**os.environ, **own}, check=False).returncode


def _measured(videos: int, requests: int) -> Iterator[str]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # noqa: PLC0415 - after DJANGO_SETTINGS_MODULE is set

    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415 - models need Django set up
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.db import connection  # noqa: PLC0415 - as above
    from django.test import Client  # noqa: PLC0415 - as above
    from django.urls import NoReverseMatch, reverse  # noqa: PLC0415 - as above

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        for statement in _ROWS:
            cursor.execute(statement, {"videos": videos})
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(User.objects.create_superuser("staff"))
    pages = -(-videos // 24)
    numbers = {"middle": pages // 2, "last": pages, "owner": User.objects.get(username="owner77").pk}
    try:
        reverse("batchreel:cards")
        addresses = (*_PLAIN, *_NARROWED)
    except NoReverseMatch:  # a checkout from before the list could be narrowed
        addresses = _PLAIN
    yield f"{'address':<56}{'queries':>9}{'cpu ms':>8}{'least ms':>10}{'median ms':>11}{'p99 ms':>9}"
    for address in addresses:
        yield _row(browser, address.format(**numbers), requests)


def _row(browser: Any, address: str, requests: int) -> str:
    from django.db import connection, reset_queries  # noqa: PLC0415 - needs Django set up

    times_ms, cpu_ms = [], []
    for _ in range(requests):
        start, cpu_start = time.perf_counter(), time.process_time()
        response = browser.get(address)
        times_ms.append(1000 * (time.perf_counter() - start))
        cpu_ms.append(1000 * (time.process_time() - cpu_start))
        assert response.status_code == 200, response.status_code  # noqa: PLR2004, S101 - a benchmark ends at a fault
    connection.force_debug_cursor = True
    reset_queries()
    browser.get(address)
    queries = len(connection.queries_log)
    connection.force_debug_cursor = False
    hundredths = quantiles(times_ms, n=100)
    return f"{address:<56}{queries:>9}{median(cpu_ms):>8.1f}{min(times_ms):>10.1f}{hundredths[49]:>11.1f}{hundredths[98]:>9.1f}"


if __name__ == "__main__":
    sys.exit(main())
