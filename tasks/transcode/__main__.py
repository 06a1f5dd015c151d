"""Transcodes a video into a folder on this machine: `python -m tasks.transcode SOURCE OUTPUT_DIR`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.transcode.errors import AUDIO_UNIT, InputRefused, Stopped, TranscodeError
from tasks.transcode.local_run import finish_run, start_run
from tasks.transcode.profile import PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.transcode.errors import UnitKey
    from tasks.transcode.local_run import LocalRun
    from tasks.transcode.publication import Publication

EXIT_FAILED = 1
EXIT_REFUSED = 3
EXIT_STOPPED = 130

_EPILOG = """\
The folder gets master.m3u8 (open it in any HLS player), a playlist for each rung, manifest.json, and units/ with the
media. Run the same command again after a stop or a crash: finished units are kept. Exit codes: 0 done, 1 failed (may
succeed when tried again), 3 the file cannot be transcoded, 130 stopped.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _transcode(options, stop)
    except InputRefused as refusal:
        _say(f"{options.source} cannot be transcoded. {refusal.sentence} [{refusal.code}]")
        return EXIT_REFUSED
    except TranscodeError as failure:
        _say(f"Failed: {failure.sentence} [{failure.code}]")
        return EXIT_FAILED
    except Stopped:
        _say("Stopped. The same command goes on from here.")
        return EXIT_STOPPED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.transcode",
        description="Make adaptive streaming (HLS with fragmented MP4) from a video file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=_existing_file, metavar="SOURCE", help="the video file")
    parser.add_argument("folder", type=Path, metavar="OUTPUT_DIR", help="the folder for the output; made if needed")
    parser.add_argument(
        "--profile", choices=sorted(PROFILES), default="standard", help="the ladder and its quality (default: standard)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of each encoder; another number gives other bytes (default: 1)"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=max(1, (os.cpu_count() or 1) // 2),
        help="units done side by side (default: one for every two cores, here %(default)s)",
    )
    return parser


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        message = f"{text} is not a file"
        raise argparse.ArgumentTypeError(message)
    return path


def _transcode(options: argparse.Namespace, stop: threading.Event) -> None:
    started = time.monotonic()
    run = start_run(options.source, options.folder, PROFILES[options.profile], threads=options.threads)
    plan = run.plan
    kept = sum(1 for unit in run.units() if run.resumed and run.finished(unit))
    _say(
        f"{plan.duration_s:.1f} s at {float(plan.rate):.3f} pictures a second, {len(plan.rungs)} rungs, "
        f"{len(run.units())} units" + (f", {kept} of them done before" if kept else "")
    )
    bar = _Bar(run)
    publication = finish_run(run, at_once=options.at_once, progress=bar.advance, stop=stop)
    bar.end()
    _say(_table(publication))
    _say(f"Done in {time.monotonic() - started:.1f} s: {(options.folder / publication.manifest['master']).absolute()}")


class _Bar:
    """A progress line on a terminal; one line for every tenth elsewhere."""

    def __init__(self, run: LocalRun) -> None:
        self._lock = threading.Lock()
        self._done_s: dict[UnitKey, float] = {}
        self._total_s = run.plan.duration_s * (1 + (AUDIO_UNIT in run.units()))
        self._live = sys.stderr.isatty()
        self._tenth = 0

    def advance(self, unit: UnitKey, done_s: float) -> None:
        with self._lock:
            self._done_s[unit] = max(done_s, self._done_s.get(unit, 0.0))
            share = min(1.0, sum(self._done_s.values()) / self._total_s)
            if self._live:
                width = max(10, shutil.get_terminal_size().columns - 10)
                sys.stderr.write(f"\r{'█' * round(share * width):<{width}} {share:6.1%}")
                sys.stderr.flush()
            elif int(share * 10) > self._tenth:
                self._tenth = int(share * 10)
                _say(f"{self._tenth * 10} %")

    def end(self) -> None:
        if self._live:
            _say("")


def _table(publication: Publication) -> str:
    rows = [f"{'rung':>6} {'size':>10} {'average':>12} {'peak':>12} {'segments':>9} {'MiB':>8}  codec"]
    tracks = [(rung, f"{rung['width_px']}x{rung['height_px']}") for rung in publication.manifest["rungs"]]
    if publication.manifest["audio"]:
        tracks.append((publication.manifest["audio"], "-"))
    rows += [
        f"{track['name']:>6} {size:>10} {track['average_bps'] / 1000:>7.0f} kb/s {track['peak_bps'] / 1000:>7.0f} kb/s "
        f"{track['segments']:>9} {track['bytes'] / 1048576:>8.2f}  {track['codec']}"
        for track, size in tracks
    ]
    return "\n".join(rows)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
