"""Command that transcodes a video to a folder: `python -m tasks.transcode SOURCE OUTPUT_DIR`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .cli.folder_lock import folder_lock
from .cli.local_run import finish_run, start_run
from .cli.profile_option import PROFILE_HELP, profile_option
from .cli.progress_line import ProgressLine
from .errors import InputRejectedError, StoppedError, TranscodeError
from .sandbox.privacy import hide_process
from .source_warnings import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cli.local_run import LocalRun
    from .package.manifest import Publication
    from .plan.plan import Plan

EXIT_FAILED = 1
EXIT_REJECTED = 3
EXIT_STOPPED = 130

_DESCRIPTION = """\
Transcode a video file for adaptive streaming: a ladder of H.264 rungs and AAC stereo in CMAF segments (fragmented MP4),
with key frames aligned across all rungs. The file may be mp4, mov, mkv, webm, avi, ts, flv, ogg, asf, wmv, mpg or mxf,
with any codecs that ffmpeg reads. Video is never enlarged. Its frame rate is kept (halved above 60 fps, multiplied
below 10 fps), and a variable frame rate becomes constant. Rotated video is turned upright, non-square pixels become
square, interlaced video is deinterlaced, HDR becomes BT.709. An audio-only file of these formats gets a poster.
"""

_COMMAND = f"python -m {__package__}"

_EPILOG = f"""\
OUTPUT_DIR receives
  master.m3u8     open it in any HLS player, or serve the folder
  manifest.mpd    the same segments for DASH players
  thumbnails.vtt  maps each time to a tile of a thumbnail sprite
  manifest.json   every file with its size, duration and SHA-256
  units/          the media: one file per rung and unit, each playable on its own

The video is divided into units of up to about two minutes that join seamlessly; each unit is decoded once for the whole
ladder. After Ctrl-C, a crash or a kill, run the same command again: finished units are kept, and the result is
byte-identical. A different file, profile or thread count starts over.

Exit codes: 0 done; 1 failed, a retry may succeed; 2 invalid arguments; 3 the file cannot be transcoded; 130 stopped.

Examples:
  {_COMMAND} lecture.mkv out/
  {_COMMAND} lecture.mkv out/ --profile fast
  {_COMMAND} lecture.mkv out/ --profile seminar.json
  FFMPEG_BINARY=/usr/bin/ffmpeg {_COMMAND} lecture.mkv out/
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _transcode(options, stop)
    except InputRejectedError as rejection:
        _print(f"{options.source} cannot be transcoded. {rejection.message} [{rejection.code}]")
        return EXIT_REJECTED
    except TranscodeError as failure:
        _print(f"Failed: {failure.message} [{failure.code}]")
        return EXIT_FAILED
    except StoppedError:
        _print("Stopped. Run the same command again to continue.")
        return EXIT_STOPPED
    except OSError as failure:
        _print(f"Failed: {failure.filename or options.folder}: {failure.strerror or failure}")
        return EXIT_FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_COMMAND,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=_existing_file, metavar="SOURCE", help="video file to transcode")
    parser.add_argument("folder", type=Path, metavar="OUTPUT_DIR", help="output folder; created if it does not exist")
    parser.add_argument(
        "--profile",
        type=profile_option,
        default="standard",
        metavar="NAME|FILE.json",
        help=PROFILE_HELP,
    )
    parser.add_argument(
        "--threads",
        type=_count,
        default=1,
        metavar="N",
        help="x264 threads per encoder; a different number produces different bytes (default: %(default)s)",
    )
    parser.add_argument(
        "--parallel",
        type=_count,
        metavar="N",
        default=max(1, (os.cpu_count() or 1) // 2),
        help="number of units encoded in parallel (default: one per two cores, here %(default)s)",
    )
    parser.add_argument(
        "--full-verify",
        action="store_true",
        help="before reporting success, decode the whole output, not just the first and last segment of each track",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text} is not a whole number greater than 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        message = f"{text} is not a file"
        raise argparse.ArgumentTypeError(message)
    return path


def _transcode(options: argparse.Namespace, stop: threading.Event) -> None:
    started = time.monotonic()
    with folder_lock(options.folder):
        _print(f"Reading {options.source}")
        run = start_run(options.source, options.folder, options.profile, threads=options.threads, stop=stop)
        _print(_run_summary(run))
        for warning in map(describe, run.plan.warnings):
            _print(f"Note: {warning['message']} [{warning['code']}]")
        line = ProgressLine(run, sys.stderr)
        try:
            publication = finish_run(
                run, parallel=options.parallel, progress=line.advance, stop=stop, full_verify=options.full_verify
            )
        finally:
            line.end()
    _print(_table(publication))
    _print(
        f"Done in {time.monotonic() - started:.1f} s: {(options.folder / publication.manifest['master']).absolute()}"
    )


def _run_summary(run: LocalRun) -> str:
    plan = run.plan
    kept = sum(1 for unit in run.units() if run.resumed and run.finished(unit))
    video = (
        f"{float(plan.rate):.5g} fps, {len(plan.rungs)} rung{'s' * (len(plan.rungs) > 1)} up to "
        f"{plan.rungs[0].width_px}x{plan.rungs[0].height_px}"
        if plan.rungs
        else "no video"
    )
    count = len(run.units())
    return f"{plan.duration_s:.1f} s, {video}, {_audio_in_words(plan)}, {count} unit{'s' * (count > 1)}" + (
        f", {kept} of them already finished" if kept else ""
    )


def _audio_in_words(plan: Plan) -> str:
    count = len(plan.audio_tracks)
    return "no audio" if not count else "AAC stereo" if count == 1 else f"{count} tracks of AAC stereo"


def _table(publication: Publication) -> str:
    rows = [f"{'rung':>6} {'size':>10} {'average':>12} {'peak':>12} {'segments':>9} {'MiB':>8}  codec"]
    tracks = [(rung, f"{rung['width_px']}x{rung['height_px']}") for rung in publication.manifest["rungs"]]
    tracks += [(audio, "-") for audio in publication.manifest["audio"]]
    rows += [
        f"{track['name']:>6} {size:>10} {track['average_bps'] / 1000:>7.0f} kb/s {track['peak_bps'] / 1000:>7.0f} kb/s "
        f"{track['segments']:>9} {track['bytes'] / 1048576:>8.2f}  {track['codec']}"
        for track, size in tracks
    ]
    return "\n".join(rows)


def _print(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    hide_process()
    sys.exit(main())
