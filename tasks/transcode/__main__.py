"""Transcodes a video into a folder on this machine: `python -m tasks.transcode SOURCE OUTPUT_DIR`."""

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
from .cli.progress_line import ProgressLine
from .errors import InputRejectedError, StoppedError, TranscodeError
from .plan.profile import PROFILES
from .source_warnings import SOURCE_WARNINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cli.local_run import LocalRun
    from .package.manifest import Publication
    from .plan.profile import Profile

EXIT_FAILED = 1
EXIT_REJECTED = 3
EXIT_STOPPED = 130

_DESCRIPTION = """\
Make adaptive streaming from a video file: a ladder of H.264 rungs and AAC stereo, cut into CMAF segments (fragmented MP4)
with key frames at equal times in all rungs. The file may be mp4, mov, mkv, webm, avi, ts, flv, ogg, asf, wmv or mpg, with any
codecs that ffmpeg reads. The picture is never enlarged, its rate is kept (above 60 it is halved), and variable rates become
constant. Turned pictures stand upright, oblong pixels become square, fields become frames, HDR becomes BT.709. A file of these
kinds that holds sound alone gets a poster.
"""

_EPILOG = """\
OUTPUT_DIR gets
  master.m3u8     open it in any HLS player, or serve the folder
  manifest.mpd    the same segments for DASH players
  thumbnails.vtt  which tile of which sprite shows which time
  manifest.json   every file with its bytes, duration and SHA-256
  units/          the media: one file for each rung and stretch of one or two minutes, each playable by itself

The ladder is encoded from one decode, in stretches ("units") that fit together without a seam. Run the same command again
after Ctrl-C, a crash or a kill: finished units are kept, and the result is the same to the last byte. Another file,
profile or thread count starts over.

Exit codes: 0 done; 1 failed, may succeed when tried again; 2 wrong arguments; 3 the file cannot be transcoded;
130 stopped.

Examples:
  python -m tasks.transcode lecture.mkv out/
  python -m tasks.transcode lecture.mkv out/ --profile fast
  FFMPEG_BINARY=/usr/bin/ffmpeg python -m tasks.transcode lecture.mkv out/
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _transcode(options, stop)
    except InputRejectedError as refusal:
        _say(f"{options.source} cannot be transcoded. {refusal.message} [{refusal.code}]")
        return EXIT_REJECTED
    except TranscodeError as failure:
        _say(f"Failed: {failure.message} [{failure.code}]")
        return EXIT_FAILED
    except StoppedError:
        _say("Stopped. The same command goes on from here.")
        return EXIT_STOPPED
    except OSError as failure:
        _say(f"Failed: {failure.filename or options.folder}: {failure.strerror or failure}")
        return EXIT_FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.transcode",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=_existing_file, metavar="SOURCE", help="the video file")
    parser.add_argument("folder", type=Path, metavar="OUTPUT_DIR", help="the folder for the output; made if needed")
    parser.add_argument(
        "--profile",
        choices=sorted(PROFILES),
        default="standard",
        help=f"the ladder and its quality (default: %(default)s): {'; '.join(map(_described, PROFILES.values()))}",
    )
    parser.add_argument(
        "--threads",
        type=_count,
        default=1,
        metavar="N",
        help="x264 threads of each encoder; another number gives other bytes (default: %(default)s)",
    )
    parser.add_argument(
        "--at-once",
        type=_count,
        metavar="N",
        default=max(1, (os.cpu_count() or 1) // 2),
        help="units encoded side by side (default: one for every two cores, here %(default)s)",
    )
    parser.add_argument(
        "--full-verify",
        action="store_true",
        help="decode all that was made before saying that it is good, not just the first and last segment of each track",
    )
    return parser


def _described(profile: Profile) -> str:
    sides = "/".join(str(rung.short_side_px) for rung in profile.rungs)
    rates = "/".join(f"{rung.maxrate_bps / 1000:g}" for rung in profile.rungs)
    factors = "/".join(str(rung.crf) for rung in profile.rungs)
    return (
        f"{profile.name} is up to {sides} lines at x264 {profile.preset}, crf {factors}, "
        f"at most {rates} kb/s, AAC {profile.audio_bps / 1000:g} kb/s"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text} is not a whole number above 0"
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
        _say(f"Reading {options.source}")
        run = start_run(options.source, options.folder, PROFILES[options.profile], threads=options.threads, stop=stop)
        _say(_described_run(run))
        for code in run.plan.warnings:
            _say(f"Note: {SOURCE_WARNINGS[code]} [{code}]")
        line = ProgressLine(run, sys.stderr)
        try:
            publication = finish_run(
                run, at_once=options.at_once, progress=line.advance, stop=stop, full_verify=options.full_verify
            )
        finally:
            line.end()
    _say(_table(publication))
    _say(f"Done in {time.monotonic() - started:.1f} s: {(options.folder / publication.manifest['master']).absolute()}")


def _described_run(run: LocalRun) -> str:
    plan = run.plan
    kept = sum(1 for unit in run.units() if run.resumed and run.finished(unit))
    pictures = (
        f"{float(plan.rate):.5g} fps, {len(plan.rungs)} rung{'s' * (len(plan.rungs) > 1)} up to "
        f"{plan.rungs[0].width_px}x{plan.rungs[0].height_px}"
        if plan.rungs
        else "no pictures"
    )
    count = len(run.units())
    return (
        f"{plan.duration_s:.1f} s, {pictures}, {'AAC stereo' if plan.has_audio else 'no sound'}, "
        f"{count} unit{'s' * (count > 1)}" + (f", {kept} of them done before" if kept else "")
    )


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
