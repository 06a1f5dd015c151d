"""`scripts/demo [FILE]`: one video becomes playable through every real part, while you watch."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from project.local.environment import STATE_DIR, site_environment
from project.local.errors import StackError
from project.local.sample import sample_video
from project.local.site import prepare_site, running_celery
from project.local.stack import running_stack

if TYPE_CHECKING:
    from tasks.models import Job

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
"""The file cannot be transcoded; the sentence above says why."""

_DESCRIPTION = """Make one video playable, through every real part: Django saves it, a signal asks for its job, Celery submits the job
to a local AWS Batch over HTTP, a container encodes it unit by unit, the result is observed, verified and published.
Nothing is installed outside this folder. Without FILE, a sample of two minutes is made."""

_EPILOG = """exit codes: 0 playable, 1 something failed (logs are named), 2 wrong usage, 3 the file cannot be transcoded.
Afterwards `scripts/dev` shows the video in the browser."""


def main() -> int:
    """Run the demo; the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        return _demo(_arguments(), console)
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        return EXIT_FAILED
    except KeyboardInterrupt:
        console.print("Stopped. Nothing goes on running; `scripts/demo` begins anew.")
        return 128 + signal.SIGINT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a video of your own (default: a sample)")
    parser.add_argument("--state", type=Path, default=STATE_DIR, help="folder of data and logs (default: .local/site)")
    arguments = parser.parse_args()
    if arguments.file is not None:
        # The script changes the folder; a relative path means the one that it was called in.
        arguments.file = Path(os.environ.get("CALLER_DIR", ".")) / arguments.file
        if not arguments.file.is_file():
            parser.error(f"there is no file {arguments.file}")
    return arguments


def _demo(arguments: argparse.Namespace, console: Console) -> int:
    state_dir: Path = arguments.state.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.file is None:
        console.print("Making the sample video: two minutes of a test picture with a clock.")
    file = (arguments.file or sample_video(state_dir)).resolve()
    os.environ.update(site_environment(state_dir))
    console.print("Starting PostgreSQL, Redis and a local AWS endpoint, on loopback.")
    with running_stack(state_dir / "stack", say=console.print) as environment:
        os.environ.update(environment)
        # Set only where the environment says nothing else, so that the log of a web request does not cross the progress.
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        prepare_site()
        console.print("Starting a Celery worker and beat.")
        with running_celery({"LOG_LEVEL": "INFO"}, state_dir / "logs"):
            job = _upload_and_watch(file, console)
            return _tell(job, console, state_dir)


def _upload_and_watch(file: Path, console: Console) -> Job:
    """Save the video as any Django code would, and show the progress until its job ends."""
    from django.core.files import File  # noqa: PLC0415 - only once Django is set up

    from project.local.watching import watch  # noqa: PLC0415 - likewise
    from tasks.models import Video  # noqa: PLC0415 - likewise

    video = Video(title=file.name)
    with file.open("rb") as content:
        video.source.save(file.name, File(content))
    console.print(f"Uploaded {file.name} ({file.stat().st_size / 1e6:.1f} MB): a row in PostgreSQL, nothing else yet.")
    return watch(video, console)


def _tell(job: Job, console: Console, state_dir: Path) -> int:
    from project.local.report import print_failure, print_publication  # noqa: PLC0415 - only once Django is set up
    from tasks.lifecycle.states import JobState  # noqa: PLC0415 - likewise

    if job.state == JobState.SUCCEEDED:
        print_publication(job, console)
        return 0
    print_failure(job, console, log_dir=state_dir / "logs")
    return EXIT_REFUSED if job.state == JobState.FAILED else EXIT_FAILED


if __name__ == "__main__":
    raise SystemExit(main())
