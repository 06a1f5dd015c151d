"""Benchmark of the bridge under load: see --help."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

_EPILOG = """\
Each measurement runs in its own database, which is deleted afterwards, prints a table, and ends by itself.

ticks        Cost of one run of each tick, with a short and a long history of published videos with their jobs, attempts,
             units and events. In addition, 200 jobs are active.
               statements   SQL statements of one run
               blocks       pages of 8 KiB that PostgreSQL touched; unlike time, independent of the machine's load
               ms           median time of one run
             A tick whose blocks grow with the history would eventually take longer than its period.
backlog      Cost of a submit run while thousands of bulk jobs wait in the rows: with no room for them, with an upload, and after
             containers have ended.
scrapes      Cost of one scrape of /metrics, with the same histories, and with 20,000 jobs that wait in the rows.
operations   Cost of the operators' page in the admin, and of its figures alone, with the same histories: 10,000 jobs a day.
submits      Eight processes submit jobs against AWS's quota of 50 SubmitJob calls per second (enforced by the local endpoint).
reads        DescribeJobs calls per minute with thousands of active jobs with fresh heartbeats, compared with one call per
             job and period.
push         Seconds from a change of a Batch job's status until its row shows it: by polling only, and by events with and without
             losses.
events       AWS Batch's events that one listener applies in a second, without the calls to SQS: as they arrive, and delivered again.
rows         KiB that a video of three hours takes in the database: at its end, pruned, and after the retention of events.
removals     Calls to AWS and seconds of each reap tick with thousands of active Batch jobs, 20 cancelled jobs and 10 orphans, and
             of the removal of one video from a bucket.
heartbeats   Heartbeats per second, on a new connection each, as containers send them, and on a persistent connection.
fetches      Bytes that one of four containers fetches of a large source, by format, and whether its units have the same bytes as
             those made from the whole file.
moved        Bytes that a container alone reads of a large source from the storage, and of source and outputs from its disk while its
             memory is half as large as the source, by format: multiples of the size. With --beside, also of another checkout.
               of_storage     of the source, from the storage
               *_reads        of the source from files, by kind of unit, from the page cache or from the disk
               *_disk         of the source, from the disk: by the plan, and by everything
               output_reads   of the outputs, to verify them
               peak           scratch space at its peak
containers   How much sooner several real containers of one vCPU finish a video: with a stand-in encoder that sleeps, so that this
             machine's cores do not matter, and with the real one on one core each. `of_units` is from the plan to the last unit.
rivals       DescribeJobs calls per minute, and the delay until the end of a job after a Spot interruption is detected: this bridge,
             a bridge with one call per job, and Airflow's hook, all on the same local endpoint. For Airflow, pass an
             interpreter that has the package apache-airflow-providers-amazon.
"""

_MEASURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ticks": ("database.tick_cost", ("finished",)),
    "backlog": ("database.backlog_cost", ("jobs",)),
    "scrapes": ("database.scrape_cost", ("finished",)),
    "operations": ("database.operations_cost", ("finished",)),
    "submits": ("aws.submit_rate", ("jobs",)),
    "reads": ("aws.read_rate", ("active",)),
    "push": ("aws.push_latency", ("jobs",)),
    "events": ("aws.event_rate", ("jobs",)),
    "rows": ("database.rows_of_a_video", ("videos",)),
    "removals": ("aws.removals", ("active", "objects")),
    "heartbeats": ("database.heartbeat_rate", ()),
    "fetches": ("containers.fetched_bytes", ("megabytes",)),
    "moved": ("containers.moved_bytes", ("megabytes", "checkout")),
    "containers": ("containers.container_speedup", ("encoder",)),
    "rivals": ("aws.rival_bridges", ("jobs", "seconds", "airflow")),
}
"""Measurement -> module in `measures`, and the options that its function `measured` takes."""


def main() -> int:
    """Run one measurement in its own stack."""
    options = _parser().parse_args()
    if os.environ.get("BENCH_DATABASE") != "own":
        return _in_own_stack(options.measure)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    if options.measure == "removals":
        os.environ["STORAGE_BUCKET"] = "bench"
    import django  # noqa: PLC0415 - after DJANGO_SETTINGS_MODULE is set

    django.setup()
    rows = _measured(options)
    print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def _measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    module, names = _MEASURES[options.measure]
    # Imported here because the models need Django set up.
    measured = importlib.import_module(f"scripts.bench.measures.{module}").measured
    rows: list[dict[str, Any]] = measured(**{name: getattr(options, name) for name in names})
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/bridge.py",
        description="Measure the bridge's load on the database and on AWS, and its speed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the rows to this file; goes before the measurement's name"
    )
    measures = parser.add_subparsers(dest="measure", required=True, metavar="MEASUREMENT")
    ticks = measures.add_parser("ticks", help="database cost of each tick")
    scrapes = measures.add_parser("scrapes", help="cost of one scrape by Prometheus")
    operations = measures.add_parser("operations", help="cost of the operators' page")
    for each in (ticks, scrapes, operations):
        each.add_argument(
            "--finished",
            type=int,
            nargs="+",
            default=[1_000, 100_000],
            metavar="N",
            help="sizes of the history, in finished jobs (default: 1000 100000)",
        )
    backlog = measures.add_parser("backlog", help="database cost of submitting while a backlog waits")
    backlog.add_argument("--jobs", type=int, default=20_000, metavar="N", help="waiting bulk jobs (default: 20000)")
    submits = measures.add_parser("submits", help="SubmitJob rate at the account's quota")
    submits.add_argument("--jobs", type=int, default=1_000, metavar="N", help="jobs to submit (default: 1000)")
    reads = measures.add_parser("reads", help="DescribeJobs calls per minute")
    reads.add_argument("--active", type=int, default=10_000, metavar="N", help="active jobs (default: 10000)")
    push = measures.add_parser("push", help="delay until a row shows a change, by events and by polling")
    push.add_argument("--jobs", type=int, default=200, metavar="N", help="Batch jobs of each way (default: 200)")
    events = measures.add_parser("events", help="events that one listener applies in a second")
    events.add_argument(
        "--jobs", type=int, default=500, metavar="N", help="Batch jobs, of 4 events each (default: 500)"
    )
    rows = measures.add_parser("rows", help="size of a video's rows")
    rows.add_argument("--videos", type=int, default=20, metavar="N", help="videos of three hours (default: 20)")
    removals = measures.add_parser("removals", help="calls and seconds of reaping and purging")
    removals.add_argument("--active", type=int, default=10_000, metavar="N", help="active Batch jobs (default: 10000)")
    removals.add_argument("--objects", type=int, default=558, metavar="N", help="objects of the video (default: 558)")
    measures.add_parser("heartbeats", help="heartbeats per second")
    fetches = measures.add_parser("fetches", help="bytes of the source that containers fetch")
    fetches.add_argument("--megabytes", type=int, default=2000, metavar="N", help="size of each file (default: 2000)")
    moved = measures.add_parser("moved", help="bytes that a container reads from storage and disk")
    moved.add_argument("--megabytes", type=int, default=2000, metavar="N", help="size of each file (default: 2000)")
    moved.add_argument(
        "--beside", dest="checkout", type=Path, metavar="CHECKOUT", help="also measure another checkout of the project"
    )
    containers = measures.add_parser("containers", help="speed-up by several real containers")
    containers.add_argument("--encoder", choices=["sleeps", "encodes", "both"], default="both")
    rivals = measures.add_parser("rivals", help="this bridge compared with others")
    rivals.add_argument("--jobs", type=int, default=50, metavar="N", help="jobs per bridge (default: 50)")
    rivals.add_argument("--seconds", type=float, default=600, metavar="S", help="duration in seconds (default: 600)")
    rivals.add_argument(
        "--airflow", type=Path, metavar="PYTHON", help="an interpreter that has Airflow's Amazon provider"
    )
    return parser


def _in_own_stack(measure: str) -> int:
    """Run this program again with its own PostgreSQL, Redis and local AWS endpoint."""
    # Submits and removals: use the whole AWS quota, and request more vCPUs than the endpoint has, so that
    # submitted jobs wait and use no CPU time.
    waiting = measure in {"submits", "removals"}
    settings = {"max_in_batch": 100_000, "vcpus": 64} if waiting else {}
    environment = {**os.environ, "BENCH_DATABASE": "own", "SECRET_KEY": "bench" * 12, "LOG_LEVEL": "ERROR"}
    environment["BATCHREEL"] = json.dumps(settings)
    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        if measure == "containers":  # they read and write the files of this process
            environment["MEDIA_ROOT"] = f"{state}/media"
        command = [sys.executable, "-m", "project.local", "exec", "--state", state, "--", sys.executable, *sys.argv]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in names]
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)


if __name__ == "__main__":
    sys.exit(main())
