"""Benchmark of the media engine against hand-written ffmpeg commands: see --help."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import stills_cost  # noqa: E402  # this import and the following need the path above
from contents import CONTENTS, make_content  # noqa: E402  # found by the path above
from measured_run import Cost, run_measured  # noqa: E402
from rival_commands import cascade_command, rung_commands  # noqa: E402

from project.local.demo.sample import DEMO_SAMPLE, make_sample  # noqa: E402
from tasks.transcode import PROFILES, make_plan, probe_source  # noqa: E402
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.transcode import Plan

ENGINE, CASCADE, PER_RUNG = "this engine", "one ffmpeg, cascaded", "one ffmpeg per rung"
OTHER = "the other checkout"
TARGETS = {CASCADE: 1.10, PER_RUNG: 0.80}
"""Maximum ratio of the engine's CPU time to a rival's.

The second target applies to easy content.
"""
OWN_PEAK_TARGET_MIB = 150
_LENGTH_S = 120
"""Of a generated content."""
EXIT_STOPPED = 143

_EPILOG = """\
Three methods encode the same ladder with the same encoder settings, one after the other. A run is one turn of each:

  this engine            python -m tasks.transcode: probe, units with warm-up and look-ahead frames, poster, checks, playlists
  one ffmpeg, cascaded   one hand-written command: one decode, each rung scaled from the one above, HLS muxer
  one ffmpeg per rung    the usual method: each rung decodes the source again; the audio is encoded once

With --beside, the engine of another checkout takes the place of the last one; its virtual environment must exist.

CPU time is the user and system time of all processes. Other programs on the same machine increase the wall time a lot
and the CPU time a little, so the result that counts is the ratio. The median over all runs is shown.
"""


def main() -> int:
    """Run the comparison and print the results. Return 0 whether or not the targets are met."""
    options = _parser().parse_args()
    # SystemExit ends the measured program and deletes the temporary folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_STOPPED))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        source = _prepared(options, Path(folder))
        plan = make_plan(probe_source(source), PROFILES[options.profile], threads=options.threads)
        _log(
            f"{plan.duration_s:.1f} s at {float(plan.rate):.3f} frames per second, {len(plan.video_units)} video units, "
            f"rungs {', '.join(rung.name for rung in plan.rungs)}; x264 {plan.preset}, {plan.threads} threads"
        )
        stills = stills_cost.measured(source, plan, runs=options.runs, folder=Path(folder)) if options.stills else None
        turns = [_turn(_ways(source, plan, options), Path(folder), number) for number in range(1, options.runs + 1)]
    report = _report(plan, turns, options) | {"stills": stills}
    print(_table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/transcode.py",
        description="Compare the CPU time and memory of this engine with ffmpeg commands for the same ladder.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", nargs="?", type=Path, metavar="FILE", help="any video (default: a generated one)")
    parser.add_argument("--loop-to", type=float, metavar="S", help="loop or cut the video to S seconds")
    parser.add_argument("--scale", type=_size, metavar="WxH", help="scale the video first, e.g. 1920x1080")
    parser.add_argument(
        "--content",
        choices=CONTENTS,
        help="make this kind of video first, with FILE as its film and --loop-to as its length",
    )
    parser.add_argument(
        "--beside",
        dest="checkout",
        type=Path,
        metavar="CHECKOUT",
        help="also measure the engine of another checkout of the project",
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="turns of each method (default: %(default)s)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="standard", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads per encoder (default: 1)")
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="units encoded in parallel (default: 1)")
    parser.add_argument(
        "--stills", action="store_true", help="also measure the additional cost of poster, thumbnails and playlists"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="folder for temporary files (default: the system's)")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        message = f"{text} is not a size like 1920x1080"
        raise argparse.ArgumentTypeError(message)
    return int(width), int(height)


def _prepared(options: argparse.Namespace, folder: Path) -> Path:
    """Return the source, looped and scaled if requested. Runs once, before the measurements."""
    source = options.source or make_sample(DEMO_SAMPLE, ROOT / ".local" / "media")
    if options.content:
        _log("Preparing the source ...")
        return make_content(options.content, folder / "source.mkv", film=source, length_s=options.loop_to or _LENGTH_S)
    if options.loop_to is None and options.scale is None:
        return Path(source).absolute()
    _log("Preparing the source ...")
    made = folder / "source.mp4"
    scale = () if options.scale is None else ("-vf", "scale={}:{}:flags=lanczos,setsar=1".format(*options.scale))
    loop = () if options.loop_to is None else ("-stream_loop", "-1")
    length = () if options.loop_to is None else ("-t", str(options.loop_to))
    subprocess.run(
        [
            *(ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *loop, "-i", str(source)),
            *(*scale, "-map", "0:v:0", "-map", "0:a:0?", *length, "-c:v", "libx264", "-preset", "veryfast"),
            *("-crf", "16", "-g", "250", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "160k", str(made)),
        ],
        check=True,
    )
    return made


def _ways(source: Path, plan: Plan, options: argparse.Namespace) -> dict[str, list[list[str]]]:
    arguments = ["-m", "tasks.transcode", str(source), "output", "--profile", options.profile]
    arguments += ["--threads", str(options.threads), "--parallel", str(options.parallel)]
    ways = {ENGINE: [[sys.executable, *arguments]], CASCADE: [cascade_command(source, plan)]}
    if options.checkout:
        other = options.checkout.resolve()
        python = ["env", f"PYTHONPATH={other}", str(other / ".local" / "venv" / "bin" / "python")]
        return ways | {OTHER: [[*python, *arguments]]}
    return ways | {PER_RUNG: rung_commands(source, plan)}


def _turn(ways: dict[str, list[list[str]]], folder: Path, number: int) -> dict[str, Cost]:
    """Run each method once, each in its own folder, which is deleted immediately afterwards."""
    os.environ["PYTHONPATH"] = str(ROOT)
    costs = {}
    for name, commands in ways.items():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            log = Path(place, "output.log")
            total = Cost(0.0, 0.0, 0.0, 0.0)
            for command in commands:
                total += run_measured(command, folder=Path(place), log=log)
        costs[name] = total
        _log(f"turn {number}: {name:<20} {total.cpu_s:8.1f} CPU s {total.wall_s:8.1f} s")
    return costs


def _report(plan: Plan, turns: list[dict[str, Cost]], options: argparse.Namespace) -> dict[str, Any]:
    def median(name: str, value: Callable[[Cost], float]) -> float:
        return round(statistics.median(value(turn[name]) for turn in turns), 3)

    return {
        "source": str(options.source or "generated"),
        "media_s": plan.duration_s,
        "engine": plan.engine,
        "profile": plan.profile,
        "rungs": [f"{rung.width_px}x{rung.height_px}" for rung in plan.rungs],
        "video_units": len(plan.video_units),
        "ways": {
            name: {
                "cpu_s": median(name, lambda cost: cost.cpu_s),
                "wall_s": median(name, lambda cost: cost.wall_s),
                "own_peak_mib": max(turn[name].own_peak_mib for turn in turns),
                "child_peak_mib": max(turn[name].child_peak_mib for turn in turns),
            }
            for name in turns[0]
        },
        "ratios": {
            name: {
                "median": round(statistics.median(turn[ENGINE].cpu_s / turn[name].cpu_s for turn in turns), 4),
                "target": TARGETS.get(name),
            }
            for name in turns[0]
            if name != ENGINE
        },
        "own_peak_target_mib": OWN_PEAK_TARGET_MIB,
        "turns": [{name: asdict(cost) for name, cost in turn.items()} for turn in turns],
    }


def _table(report: dict[str, Any]) -> str:
    rows = [
        f"{'method':<22}{'CPU s':>9}{'per media s':>13}{'wall s':>9}{'engine/this':>13}{'own MiB':>9}{'child MiB':>11}"
    ]
    for name, way in report["ways"].items():
        ratio = f"{report['ratios'][name]['median']:.3f}" if name in report["ratios"] else "-"
        child = f"{way['child_peak_mib']:.0f}" if way["child_peak_mib"] else "-"
        rows.append(
            f"{name:<22}{way['cpu_s']:>9.1f}{way['cpu_s'] / report['media_s']:>13.3f}{way['wall_s']:>9.1f}{ratio:>13}"
            f"{way['own_peak_mib']:>9.0f}{child:>11}"
        )
    if stills := report["stills"]:
        rows.append(
            f"poster, thumbnails and playlists: {stills['share']:.2%} in addition to the rungs of a unit"
            f" (target: {stills['target']:.0%})"
        )
    wanted = ", ".join(f"{target:.2f} of {name}" for name, target in TARGETS.items())
    return "\n".join([*rows, f"targets: {wanted} (easy content); own memory {OWN_PEAK_TARGET_MIB} MiB"])


def _log(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
