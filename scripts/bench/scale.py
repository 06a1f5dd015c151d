"""Benchmark: seconds until a lecture can be watched and is ready, by number of containers: see --help."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
VCPUS = 2
"""Of a container, by default."""
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from scripts.bench.scaling.world import Outcome, Scenario

_EPILOG = """\
Simulated: the clock, AWS Batch, machines, and containers that lease units and wait for as long as the real engine needed CPU time
for them (scripts/bench/scaling/content.py). Real: PostgreSQL, the ticks and wake-ups, and every service that a container calls.

ready        One upload at a time. "off": one container, which reads the objects back over one connection, as before there were
             helpers.
               first s      until the growing playlist lists the first 12 s
               ready s      until it is published; after it, the slowest of the seeds
               containers   that ran
               container s  from start to end, all together
               wasted       share of the slots' seconds that was no CPU time of a unit: waiting for the plan, fetching, storing, and
                            what was lost with a machine
efficiency   One container's time, divided by the time and number of several: "encoding" from the plan to the last unit, "all" from
             the request to the publication.
"""


def main() -> int:
    """Run the measurements in their own database."""
    options = _parser().parse_args()
    if os.environ.get("BENCH_DATABASE") != "own":
        return _in_own_stack()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # noqa: PLC0415 - after DJANGO_SETTINGS_MODULE is set

    django.setup()
    from scripts.bench.measures.history import migrate  # noqa: PLC0415 - models need Django set up

    migrate()
    rows = _ready(options.seeds) if options.measure == "ready" else _efficiency(options.seeds)
    for row in rows:
        print(row, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/scale.py",
        description="Simulate uploads on the production services: how soon is a lecture ready?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measure", choices=["ready", "efficiency"])
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each row (default: 5)")
    return parser


def _ready(seeds: int) -> Iterator[str]:
    from scripts.bench.scaling.content import FILM, LECTURE, SMALL_LECTURE  # noqa: PLC0415 - as above
    from scripts.bench.scaling.world import Scenario  # noqa: PLC0415 - as above

    yield (
        f"{'content':<21}{'vCPUs':>6}{'machines':>21}{'helpers':>9}{'first s':>9}{'ready s':>9}{'slowest':>9}"
        f"{'containers':>12}{'container s':>13}{'wasted':>8}"
    )
    # Content, hours, vCPUs, warm, reclaims per hour, target in seconds.
    cases = [
        (LECTURE, 1, 64, True, 0.0, 120),
        (SMALL_LECTURE, 1, 64, True, 0.0, 120),
        (LECTURE, 1, 64, False, 0.0, 360),
        (LECTURE, 1, 64, False, 2.0, None),
        (LECTURE, 3, 64, True, 0.0, None),
        (LECTURE, 3, 64, False, 0.0, None),
        (FILM, 1, 64, True, 0.0, None),
        (FILM, 3, 128, True, 0.0, 900),
        (FILM, 3, 128, False, 0.0, 900),
    ]
    for content, hours, vcpus, is_warm, reclaims_per_h, target_s in cases:
        on = Scenario(
            content=content,
            hours=hours,
            vcpus=vcpus,
            is_warm=is_warm,
            reclaims_per_h=reclaims_per_h,
            settings={"max_helpers": vcpus // VCPUS - 1},
        )
        if is_warm:
            # One container takes hours, so a machine that has to start first makes little difference to it.
            off = replace(on, settings={"max_helpers": 0}, verify_connections=1)
            yield _ready_row("off", off, _runs(off, 1), target_s=None)
        yield _ready_row("on", on, _runs(on, seeds), target_s=target_s)


def _ready_row(name: str, scenario: Scenario, runs: list[Outcome], *, target_s: int | None) -> str:
    machines = "warm" if scenario.is_warm else "cold Spot"
    if scenario.reclaims_per_h:
        machines += f", {scenario.reclaims_per_h:g}/h lost"
    target = f"  target: {target_s} s" if target_s else ""
    return (
        f"{f'{scenario.hours:g} h {scenario.content.name}':<21}{scenario.vcpus:>6}{machines:>21}{name:>9}"
        f"{_median(runs, 'first_s'):>9.0f}{_median(runs, 'ready_s'):>9.0f}{max(each.ready_s for each in runs):>9.0f}"
        f"{_median(runs, 'containers'):>12.0f}{_median(runs, 'container_s'):>13.0f}{_median(runs, 'wasted_share'):>8.0%}{target}"
    )


def _efficiency(seeds: int) -> Iterator[str]:
    from scripts.bench.scaling.content import FILM, LECTURE  # noqa: PLC0415 - as above
    from scripts.bench.scaling.world import Scenario  # noqa: PLC0415 - as above

    yield f"{'content':<14}{'containers':>12}{'ready s':>9}{'encoding':>10}{'all':>7}{'target':>8}"
    for content, hours in ((LECTURE, 1), (LECTURE, 3), (FILM, 3)):
        alone: list[Outcome] = []
        for count, target in ((1, None), (2, 0.95), (4, 0.93), (8, 0.90), (32, 0.85)):
            few = {
                "max_helpers": count - 1,
                "max_early_helpers": count - 1,
                "helper_target_s": 1,
                "helper_min_work_s": 1,
            }
            scenario = Scenario(content=content, hours=hours, vcpus=64, is_warm=True, settings=few)
            runs = _runs(scenario, seeds)
            alone = alone or runs
            encoding = _median(alone, "encode_s") / _median(runs, "encode_s") / count
            whole = _median(alone, "ready_s") / _median(runs, "ready_s") / count
            yield (
                f"{f'{hours} h {content.name}':<14}{count:>12}{_median(runs, 'ready_s'):>9.0f}{encoding:>10.2f}{whole:>7.2f}"
                f"{target or '':>8}"
            )


def _runs(scenario: Scenario, seeds: int) -> list[Outcome]:
    from scripts.bench.scaling.world import run  # noqa: PLC0415 - as above

    return [run(scenario, seed=seed) for seed in range(seeds)]


def _median(runs: list[Outcome], name: str) -> float:
    return statistics.median(getattr(each, name) for each in runs)


def _in_own_stack() -> int:
    """Run this program again with its own PostgreSQL."""
    environment = {**os.environ, "BENCH_DATABASE": "own", "SECRET_KEY": "bench" * 12, "LOG_LEVEL": "ERROR"}
    environment.pop("BATCHREEL", None)
    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        command = [sys.executable, "-m", "project.local", "exec", "--state", state, "--", sys.executable, *sys.argv]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
