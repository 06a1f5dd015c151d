"""A command that runs the media engine on many files and prints each result: `python -m tests.media.corpus --help`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.transcode import InputRejectedError, TranscodeError
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tasks.transcode.sandbox.limits import ChildLimits
from tasks.transcode.sandbox.process import run_child
from tests.media.corpus_codecs import make_pairs
from tests.media.kinds import KINDS
from tests.media.kinds.expected import differences
from tests.media.runs import Transcode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.media.kinds.expected import Expected, Upload

VIDEO_ENDINGS = frozenset(
    (
        *("3g2", "3gp", "asf", "avi", "divx", "f4v", "flv", "m2ts", "m2v", "m4v", "mj2", "mkv", "mov", "mp4"),
        *("mpeg", "mpg", "mts", "mxf", "ogg", "ogm", "ogv", "qt", "ts", "vob", "webm", "wmv"),
    )
)

_DESCRIPTION = """\
Encodes every file into a small ladder (up to 180 lines), checks the whole output as the tests do, and prints a Markdown
table: name, result, seconds. The result is `ladder` (every check passed), or the code and the message with which the
file was rejected. `FAILED` means a bug: an error that the file did not cause, or an output that breaks a rule.
`WRONG` means one too: of the generated kinds of files it is known what must become of them, and it did not.

A rejected file is also decoded by plain ffmpeg, and the table shows how much that decodes: if it is more than nothing,
the engine is stricter than ffmpeg, on purpose or by mistake.
"""


@dataclass(frozen=True)
class Result:
    """The result of one file: a status for the summary, and the full message."""

    status: str
    message: str
    taken_s: float

    @property
    def is_bad(self) -> bool:
        """Return whether the engine failed or was wrong, rather than reject the file."""
        return self.status.startswith(("FAILED", "WRONG"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if there was a failure that no file caused, or a wrong result."""
    options = _parser().parse_args(arguments)
    caller = Path(os.environ.get("CALLER_DIR", "."))
    statuses: Counter[str] = Counter()
    bad = False
    _print("| file | result | s |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        given = _videos(caller / path for path in options.paths)
        for name, path, expected in _files(Path(folder), options, given):
            result = _result(path, expected)
            statuses[result.status] += 1
            bad |= result.is_bad
            _print(f"| {_cell(name)} | {result.message} | {result.taken_s:.1f} |")
    _print(f"\n{sum(statuses.values())} files: " + ", ".join(f"{status} {n}" for status, n in statuses.most_common()))
    return int(bad)


def _files(
    folder: Path, options: argparse.Namespace, given: Iterable[Path]
) -> Iterator[tuple[str, Path, Expected | None]]:
    """Yield name, path and expected result (if it is known) of each file."""
    if options.generated:
        yield from ((path.name, path, None) for path in make_pairs(folder))
    for kind in KINDS if options.kinds == [] else options.kinds or ():
        for upload in KINDS[kind]:
            with tempfile.TemporaryDirectory(prefix="upload-") as own:
                path = _made(Path(own), upload)
                yield f"{kind}: {upload.name}", path, upload.expected
    yield from ((str(path), path, None) for path in given)


def _made(folder: Path, upload: Upload) -> Path:
    path = folder / upload.name
    upload.make(path)
    return path


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/corpus", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="FILE_OR_FOLDER", help="folders are searched recursively"
    )
    parser.add_argument(
        "--generated",
        action="store_true",
        help="start with one second of every codec in every container that ffmpeg can write",
    )
    parser.add_argument(
        "--kinds",
        nargs="*",
        choices=KINDS,
        metavar="KIND",
        help=f"then make files of these kinds of difficult uploads, or of all: {', '.join(KINDS)}",
    )
    return parser


def _videos(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the given files, and all files with a video's extension in the given folders."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            if found.is_file() and found.suffix[1:].lower() in VIDEO_ENDINGS:
                yield found


def _cell(text: str) -> str:
    """Return a text for a table's cell, which can contain neither newlines nor bars."""
    return " ".join(text.split()).replace("|", "/")


def _result(path: Path, expected: Expected | None) -> Result:
    began = time.monotonic()

    def result(status: str, message: str) -> Result:
        flat = _cell(message)
        return Result(status, f"{status}: {flat}" if flat else status, time.monotonic() - began)

    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        try:
            done = Transcode(Path(folder))(path, name=f"{path.name}.output")
            wrong = differences(done, expected) if expected is not None else []
        except InputRejectedError as rejection:
            if expected is not None and expected.rejected != rejection.code:
                return result("WRONG", f"{rejection.code}: {rejection.message}{_plain_ffmpeg_result(path)}")
            return result(rejection.code, rejection.message + _plain_ffmpeg_result(path))
        except TranscodeError as error:
            return result(f"FAILED {error.code}", error.message)
        except Exception as error:  # noqa: BLE001  # any error: the remaining files must still be tried
            return result("FAILED", f"{type(error).__name__}: {error}")
    plan = done.plan
    sizes = (
        f"{plan.rungs[0].width_px}x{plan.rungs[0].height_px} at {float(plan.rate):.5g}" if plan.rungs else "audio only"
    )
    warnings = "".join(f", {code}" for code in plan.warnings)
    summary = f"{plan.duration_s:.2f} s, {sizes}{', audio' if plan.has_audio and plan.rungs else ''}{warnings}"
    return result("WRONG", f"{summary}. {'; '.join(wrong)}") if wrong else result("ladder", summary)


def _plain_ffmpeg_result(path: Path) -> str:
    """Return how much of a rejected file plain ffmpeg decodes, as a suffix for the message."""
    return f" (Plain ffmpeg: {_decoded(path, 'v')} video frames, {_decoded(path, 'a')} audio frames.)"


def _decoded(path: Path, kind: str) -> int:
    """Return how many frames of the first ten seconds of the first stream of a kind ffmpeg decodes.

    The engine's limits apply.
    """
    lines = bytearray()
    limits = ChildLimits(memory_bytes=4 << 30, cpu_s=20, file_bytes=0)
    command = [ffmpeg_binary(), "-nostdin", "-v", "quiet", "-protocol_whitelist", "file", "-i", str(path.absolute())]
    with suppress(TranscodeError):
        run_child(
            [*command, "-map", f"0:{kind}:0", "-t", "10", "-f", "framecrc", "pipe:1"],
            limits=limits,
            on_output=lines.extend,
            paths={"read": [path]},
        )
    return sum(1 for line in lines.splitlines() if not line.startswith(b"#"))


if __name__ == "__main__":
    sys.exit(main())
