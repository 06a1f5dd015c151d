"""Measures what a tick costs the database while history grows: see --help."""

from __future__ import annotations

import argparse
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
Each size of history is that of a site which published so many videos: a video, a succeeded job, its attempt and its
units. On top of it, 200 jobs are under way. Then the body of each tick runs, several times, against an endpoint that
answers at once, so that what is measured is the database's share.

  statements   SQL statements of one run
  blocks       pages of 8 KiB that PostgreSQL touched in one run: unlike time, no matter how busy the machine is
  ms           median time of one run

A tick whose blocks grow with the history would one day take longer than its period.
"""


def main() -> int:
    """Run the measurement in a database of its own, which is deleted afterwards."""
    options = _parser().parse_args()
    if os.environ.get("BENCH_DATABASE") != "own":
        return _in_own_stack()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # noqa: PLC0415 - after the settings are named

    django.setup()
    from tick_cost import measured  # noqa: PLC0415 - models need Django

    rows = measured(options.finished)
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
    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        command = [sys.executable, "-m", "project.local", "exec", "--state", state, "--", sys.executable, *sys.argv]
        environment = {**os.environ, "BENCH_DATABASE": "own", "SECRET_KEY": "bench" * 12}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'finished jobs':>13} {'tick':>8} {'statements':>10} {'blocks':>9} {'ms':>8}"]
    lines += [
        f"{row['finished_jobs']:>13} {row['tick']:>8} {row['statements']:>10} {row['blocks']:>9} {row['ms']:>8}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
