"""Benchmark of what viewers see: the quality of each rung, and whether changes are shown in time. See --help."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from fidelity import delays, scores, slides, sync  # noqa: E402  # this import and the following need the path above


def main() -> None:
    """Measure one subject, and print its table."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="quality-", dir=options.folder) as folder:
        options.run(options, Path(folder).resolve())


def _run_scores(options: argparse.Namespace, folder: Path) -> None:
    names = options.content or scores.CONTENT_NAMES
    rows = []
    for row in scores.scored(
        names, film=options.film.absolute(), length_s=options.length_s, other=options.checkout, folder=folder
    ):
        rows.append(row)
        print(scores.score_table([row]).splitlines()[-1], file=sys.stderr, flush=True)
    print(scores.score_table(rows))


def _run_changes(options: argparse.Namespace, folder: Path) -> None:
    codecs = options.codec or delays.CODEC_NAMES
    found = delays.measured_delays(codecs, checkout=options.checkout, folder=folder)
    print(delays.delay_table(list(found)))


def _run_slides(options: argparse.Namespace, folder: Path) -> None:
    codecs = options.codec or delays.CODEC_NAMES
    found = slides.measured_slides(codecs, length_s=options.length_s, checkout=options.checkout, folder=folder)
    print(slides.slide_table(list(found)))


def _run_sync(options: argparse.Namespace, folder: Path) -> None:
    rates = options.rate or list(sync.RATES)
    found = sync.measured_sync(rates, length_s=options.length_s, checkout=options.checkout, folder=folder)
    print(sync.sync_table(list(found)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench/quality.py", description=__doc__)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="folder for temporary files (default: the system's)")
    subjects = parser.add_subparsers(required=True, metavar="SUBJECT")

    scored = subjects.add_parser("scores", help="VMAF, PSNR and bytes of each rung, for this build and another one")
    scored.add_argument("film", type=Path, metavar="FILM", help="any film, which is part of some contents")
    scored.add_argument("--content", action="append", choices=scores.CONTENT_NAMES, help="default: all")
    scored.add_argument("--length-s", type=float, default=20, metavar="S", help="default: %(default)s")
    scored.add_argument(
        "--beside", dest="checkout", type=Path, metavar="CHECKOUT", help="also measure another checkout of the project"
    )
    scored.set_defaults(run=_run_scores)

    changes = subjects.add_parser(
        "changes", help="how late small changes are shown, for each way of encoding the source"
    )
    changes.set_defaults(run=_run_changes)
    long_slides = subjects.add_parser(
        "slides", help="whether slides of 7 s are shown at their times, and the last is whole"
    )
    long_slides.add_argument("--length-s", type=float, default=600, metavar="S", help="default: %(default)s")
    long_slides.set_defaults(run=_run_slides)
    for subject in (changes, long_slides):
        subject.add_argument("--codec", action="append", choices=delays.CODEC_NAMES, help="default: all")

    in_sync = subjects.add_parser("sync", help="how far a flash and a beep are apart, each minute for three hours")
    in_sync.add_argument("--rate", action="append", choices=list(sync.RATES), help="default: all")
    in_sync.add_argument("--length-s", type=int, default=3 * 3600, metavar="S", help="default: %(default)s")
    in_sync.set_defaults(run=_run_sync)
    for subject in (changes, long_slides, in_sync):
        subject.add_argument(
            "--engine", dest="checkout", type=Path, default=ROOT, metavar="CHECKOUT", help="of another checkout"
        )
    return parser


if __name__ == "__main__":
    main()
