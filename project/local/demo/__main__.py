"""`scripts/demo [FILE]`: one video becomes playable through every real part, while you watch."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from project.local.accounts import TEACHER, account_user, ensure_accounts
from project.local.demo.sample import DEMO_SAMPLE, make_sample
from project.local.environment import STATE_DIR, given_path, site_environment
from project.local.errors import FolderInUseError, StackError
from project.local.running_site import running_environment
from project.local.site import prepare_site, running_celery, set_up_django
from project.local.stack import Stack

if TYPE_CHECKING:
    from tasks.models import Job

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REJECTED = 3
"""The file cannot be transcoded; the sentence above says why."""

_DESCRIPTION = """Make one video playable, through every real part: Django saves it, a signal asks for its job, Celery submits the job
to a local AWS Batch over HTTP, a container encodes it unit by unit, the result is observed, verified and published.
Nothing is installed outside this folder. Without FILE, a sample of four minutes is made."""

_EPILOG = """exit codes: 0 playable, 1 something failed (logs are named), 2 wrong usage, 3 the file cannot be transcoded.
Afterwards `scripts/dev` shows the video in the browser."""


def main() -> int:
    """Run the demo; the exit code."""
    # A file's name is shown as it is, whatever brackets and colons it holds.
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        arguments = _arguments()
        state_dir: Path = arguments.state.resolve()
        try:
            return _demo(arguments.file, state_dir, console)
        except Exception as error:  # noqa: BLE001 - whatever it is, a newcomer gets a sentence and the place to look at
            _explain(error, state_dir, console)
            return EXIT_FAILED
    except KeyboardInterrupt:
        console.print("Stopped. Nothing goes on running; `scripts/demo` begins anew.")
        return 128 + signal.SIGINT


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _explain(error: Exception, state_dir: Path, console: Console) -> None:
    if isinstance(error, FolderInUseError):
        console.print(f"{error}", style="red")
        console.print(
            "If that is scripts/dev, upload the video on its page. Another folder: scripts/demo --state FOLDER"
        )
        return
    if isinstance(error, StackError):
        console.print(str(error), style="red")
    else:
        log_path = state_dir / "logs" / "demo.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log_path.write_text("".join(traceback.format_exception(error)))
        console.print(f"The demo failed: {type(error).__name__}: {error}", style="red")
    console.print(f"Logs: {state_dir / 'logs'} and {state_dir / 'stack'}. `scripts/demo` begins anew.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", nargs="?", type=given_path, metavar="FILE", help="a video of your own (default: a sample)"
    )
    parser.add_argument(
        "--state", type=given_path, default=STATE_DIR, help="folder of data and logs (default: .local/site)"
    )
    arguments = parser.parse_args()
    if arguments.file is not None:
        if not arguments.file.is_file():
            parser.error(f"there is no file {arguments.file}")
        if not os.access(arguments.file, os.R_OK):
            parser.error(f"{arguments.file} cannot be read by you")
    return arguments


def _demo(given_file: Path | None, state_dir: Path, console: Console) -> int:
    if given_file is None:
        console.print("Making the sample video: four minutes of a test pattern with a clock.")
    file = given_file.resolve() if given_file else make_sample(DEMO_SAMPLE, state_dir)
    if running := running_environment(state_dir):
        console.print("Using the site that `scripts/dev` runs.")
        return _on_running_site(file, running, state_dir, console)
    return _on_own_stack(file, state_dir, console)


def _on_running_site(file: Path, environment: dict[str, str], state_dir: Path, console: Console) -> int:
    os.environ.update(environment)
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    set_up_django()

    def check_programs() -> None:
        if running_environment(state_dir) is None:
            message = "scripts/dev has ended."
            raise StackError(message)

    job = _upload_and_watch(file, console, check_programs=check_programs)
    return _report(job, console, state_dir)


def _on_own_stack(file: Path, state_dir: Path, console: Console) -> int:
    os.environ.update(site_environment(state_dir))
    console.print("Starting PostgreSQL, Redis and a local AWS endpoint, on loopback.")
    with ExitStack() as ending:
        stack = Stack(state_dir / "stack", say=console.print)
        ending.callback(stack.stop)
        os.environ.update(stack.start())
        # So that the log lines of this process do not cross the progress.
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        prepare_site()
        ensure_accounts(state_dir)
        console.print("Starting a Celery worker and beat.")
        check_celery = ending.enter_context(running_celery({"LOG_LEVEL": "INFO"}, state_dir / "logs"))

        def check_programs() -> None:
            stack.check()
            check_celery()

        job = _upload_and_watch(file, console, check_programs=check_programs)
        return _report(job, console, state_dir)


def _upload_and_watch(file: Path, console: Console, *, check_programs: Callable[[], None]) -> Job:
    """Upload the file as the web page does, as the teacher, and show the progress until its job ends."""
    from django.core.files.uploadedfile import UploadedFile  # noqa: PLC0415 - only once Django is set up

    from project.local.demo.watch import watch  # noqa: PLC0415 - as above
    from tasks.views.upload import store_upload  # noqa: PLC0415 - as above

    size_bytes, started_s = file.stat().st_size, time.monotonic()
    with file.open("rb") as content:
        upload = UploadedFile(content, name=file.name, size=size_bytes)
        video = store_upload(title="", file=upload, owner=account_user(TEACHER))
    console.print(
        f"Uploaded {file.name} ({size_bytes / 1e6:.1f} MB in {time.monotonic() - started_s:.1f} s): "
        "a file in the storage and a row in PostgreSQL, nothing else yet."
    )
    return watch(video, console, check_programs=check_programs)


def _report(job: Job, console: Console, state_dir: Path) -> int:
    from project.local.demo.report import print_failure, print_publication  # noqa: PLC0415 - only once Django is set up
    from tasks.lifecycle.states import JobState  # noqa: PLC0415 - likewise

    if job.state == JobState.SUCCEEDED:
        print_publication(job, console)
        return 0
    print_failure(job, console, log_dir=state_dir / "logs")
    return EXIT_REJECTED if job.state == JobState.FAILED else EXIT_FAILED


if __name__ == "__main__":
    raise SystemExit(main())
