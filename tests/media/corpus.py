"""Runs the media engine over many files and says what became of each: `python -m tests.media.corpus --help`."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.transcode import InputRejectedError, TranscodeError
from tasks.transcode.cli.local_run import finish_run, start_run
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tasks.transcode.sandbox.limits import ChildLimits
from tasks.transcode.sandbox.process import run_child
from tests.media.corpus_kinds import make_kinds
from tests.media.output_checks import check_output
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VIDEO_ENDINGS = frozenset(
    (
        *("3g2", "3gp", "asf", "avi", "divx", "f4v", "flv", "m2ts", "m2v", "m4v", "mj2", "mkv", "mov", "mp4"),
        *("mpeg", "mpg", "mts", "mxf", "ogg", "ogm", "ogv", "qt", "ts", "vob", "webm", "wmv"),
    )
)

_DESCRIPTION = """\
Makes a small ladder (up to 180 lines) of every file, checks the whole output as the tests do, and prints a table in
Markdown: name, verdict, seconds. A verdict is `ladder` (every check passed), or the code and the sentence with which the
file was refused. `FAILED` stands for what should not happen: an error that is not the file's fault, or a broken rule.

A refused file is read once more by plain ffmpeg, and the table says what that decodes: where it is more than nothing,
the engine is stricter, on purpose or by mistake.
"""


@dataclass(frozen=True)
class Verdict:
    """What became of a file: a word for the summary, and the whole sentence."""

    word: str
    message: str
    taken_s: float

    @property
    def is_bad(self) -> bool:
        """Tell what should not happen from what is the file's fault."""
        return self.word.startswith("FAILED")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 when something failed that is not a file's fault."""
    options = _parser().parse_args(arguments)
    caller = Path(os.environ.get("CALLER_DIR", "."))
    verdicts: Counter[str] = Counter()
    bad = False
    _say("| file | verdict | s |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        made = make_kinds(Path(folder)) if options.generated else ()
        given = _videos(caller / path for path in options.paths)
        for path, name in itertools.chain(((path, path.name) for path in made), ((path, str(path)) for path in given)):
            verdict = _verdict(path)
            verdicts[verdict.word] += 1
            bad |= verdict.is_bad
            _say(f"| {name} | {verdict.message} | {verdict.taken_s:.1f} |")
    _say(f"\n{sum(verdicts.values())} files: " + ", ".join(f"{word} {n}" for word, n in verdicts.most_common()))
    return int(bad)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/corpus", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE_OR_FOLDER", help="folders are searched throughout")
    parser.add_argument(
        "--generated",
        action="store_true",
        help="begin with a second of every codec in every container that ffmpeg makes",
    )
    return parser


def _videos(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files given, and those in the folders given whose names end as videos' do."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            if found.is_file() and found.suffix[1:].lower() in VIDEO_ENDINGS:
                yield found


def _verdict(path: Path) -> Verdict:
    began = time.monotonic()

    def verdict(word: str, message: str) -> Verdict:
        # A table's cell holds neither.
        flat = " ".join(message.split()).replace("|", "/")
        return Verdict(word, f"{word}: {flat}" if flat else word, time.monotonic() - began)

    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        output = Path(folder, "output")
        try:
            run = start_run(path, output, SMALL, threads=1)
            finish_run(run, at_once=1, progress=lambda *_: None, stop=threading.Event())
            check_output(output)
        except InputRejectedError as refusal:
            return verdict(refusal.code, refusal.message + _what_ffmpeg_shows(path))
        except TranscodeError as error:
            return verdict(f"FAILED {error.code}", error.message)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other files are to be tried as well
            return verdict("FAILED", f"{type(error).__name__}: {error}")
    plan = run.plan
    sizes = (
        f"{plan.rungs[0].width_px}x{plan.rungs[0].height_px} at {float(plan.rate):.5g}" if plan.rungs else "sound alone"
    )
    told = "".join(f", {code}" for code in plan.warnings)
    return verdict(
        "ladder", f"{plan.duration_s:.2f} s, {sizes}{', sound' if plan.has_audio and plan.rungs else ''}{told}"
    )


def _what_ffmpeg_shows(path: Path) -> str:
    """Return what plain ffmpeg decodes of a refused file, as the end of a sentence."""
    return f" (Plain ffmpeg: {_decoded(path, 'v')} pictures, {_decoded(path, 'a')} pieces of sound.)"


def _decoded(path: Path, kind: str) -> int:
    """Return how many frames of the first stream of a kind ffmpeg decodes within ten seconds, under the engine's limits."""
    lines = bytearray()
    limits = ChildLimits(memory_bytes=4 << 30, cpu_s=20, file_bytes=0, deadline_s=30)
    command = [ffmpeg_binary(), "-nostdin", "-v", "quiet", "-protocol_whitelist", "file", "-i", str(path.absolute())]
    with suppress(TranscodeError):
        run_child(
            [*command, "-map", f"0:{kind}:0", "-t", "10", "-f", "framecrc", "pipe:1"],
            limits=limits,
            on_output=lines.extend,
        )
    return sum(1 for line in lines.splitlines() if not line.startswith(b"#"))


if __name__ == "__main__":
    sys.exit(main())
