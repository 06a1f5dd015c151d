"""`scripts/demo [FILE]`: transcode one video through all real components, and show the progress."""

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
from project.local.environment import STATE_DIR, caller_path, site_environment
from project.local.errors import FolderInUseError, StackError
from project.local.running_site import running_environment
from project.local.site import prepare_site, running_celery, set_up_django
from project.local.stack import Stack

if TYPE_CHECKING:
    from tasks.models import Job

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REJECTED = 3
"""The file cannot be transcoded; the printed message gives the reason."""

_DESCRIPTION = """Make one video playable, through all real components: Django saves the upload, a signal creates its job, a Celery
worker submits the job to a local AWS Batch over HTTP, a container encodes it unit by unit, and the result is verified
and published. Nothing is installed outside this folder. Without FILE, it uses a generated sample of four minutes."""

_EPILOG = """exit codes: 0 playable, 1 failed (the output names the logs), 2 wrong usage, 3 the file cannot be transcoded.
Run scripts/dev afterwards to watch the video in a browser."""


def main() -> int:
    """Run the demo and return the exit code."""
    # Print file names literally, even with brackets and colons, which are markup for rich.
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    try:
        arguments = _arguments()
        state_dir: Path = arguments.state.resolve()
        try:
            return _demo(arguments.file, state_dir, console)
        except Exception as error:  # noqa: BLE001 - whatever fails, the user gets a message and the path of the logs
            _explain(error, state_dir, console)
            return EXIT_FAILED
    except KeyboardInterrupt:
        console.print("Stopped. No process is left running. Run `scripts/demo` to start over.")
        return 128 + signal.SIGINT


def _exit(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _explain(error: Exception, state_dir: Path, console: Console) -> None:
    if isinstance(error, FolderInUseError):
        console.print(f"{error}", style="red")
        console.print(
            "Next: if scripts/dev is starting, wait for its URLs and run scripts/demo again. Or use --state FOLDER."
        )
        return
    if isinstance(error, StackError):
        console.print(str(error), style="red")
    else:
        log_path = state_dir / "logs" / "demo.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log_path.write_text("".join(traceback.format_exception(error)))
        console.print(f"The demo failed: {type(error).__name__}: {error}", style="red")
    console.print(f"Logs: {state_dir / 'logs'} and {state_dir / 'stack'}")
    console.print("Next: read the logs, then run `scripts/demo` again. It starts over.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", nargs="?", type=caller_path, metavar="FILE", help="your own video (default: a generated sample)"
    )
    parser.add_argument(
        "--state", type=caller_path, default=STATE_DIR, help="folder for data and logs (default: .local/site)"
    )
    arguments = parser.parse_args()
    if arguments.file is not None:
        if not arguments.file.is_file():
            parser.error(f"there is no file {arguments.file}")
        if not os.access(arguments.file, os.R_OK):
            parser.error(f"no permission to read {arguments.file}")
    return arguments


def _demo(given_file: Path | None, state_dir: Path, console: Console) -> int:
    if given_file is None:
        console.print("Generating the sample video: four minutes of a test pattern with a clock.")
    file = given_file.resolve() if given_file else make_sample(DEMO_SAMPLE, state_dir)
    if running := running_environment(state_dir):
        console.print("Using the running `scripts/dev` site.")
        return _on_running_site(file, running, state_dir, console)
    return _on_own_stack(file, state_dir, console)


def _on_running_site(file: Path, environment: dict[str, str], state_dir: Path, console: Console) -> int:
    os.environ.update(environment)
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    set_up_django()

    def check_programs() -> None:
        if running_environment(state_dir) is None:
            message = "scripts/dev has stopped, so the video cannot be transcoded further."
            raise StackError(message)

    job = _upload_and_watch(file, console, check_programs=check_programs)
    return _print_result(job, console, state_dir)


def _on_own_stack(file: Path, state_dir: Path, console: Console) -> int:
    os.environ.update(site_environment(state_dir))
    console.print("Starting PostgreSQL, Redis and a local AWS endpoint on loopback.")
    with ExitStack() as ending:
        stack = Stack(state_dir / "stack", report=console.print)
        ending.callback(stack.stop)
        os.environ.update(stack.start())
        # Keeps log lines of this process out of the progress display.
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        prepare_site()
        ensure_accounts(state_dir)
        console.print("Starting a Celery worker and Celery beat.")
        check_celery = ending.enter_context(running_celery({"LOG_LEVEL": "INFO"}, state_dir / "logs"))

        def check_programs() -> None:
            stack.check()
            check_celery()

        job = _upload_and_watch(file, console, check_programs=check_programs)
        return _print_result(job, console, state_dir)


def _upload_and_watch(file: Path, console: Console, *, check_programs: Callable[[], None]) -> Job:
    """Upload the file as the teacher, like the web page does, and show the progress until its job ends."""
    from django.core.files.uploadedfile import UploadedFile  # noqa: PLC0415 - only once Django is set up

    from project.local.demo.watch import watch  # noqa: PLC0415 - as above
    from tasks.views.upload import store_upload  # noqa: PLC0415 - as above

    size_bytes, started_s = file.stat().st_size, time.monotonic()
    with file.open("rb") as content:
        upload = UploadedFile(content, name=file.name, size=size_bytes)
        video = store_upload(title="", file=upload, owner=account_user(TEACHER))
    console.print(
        f"Uploaded {file.name} ({size_bytes / 1e6:.1f} MB in {time.monotonic() - started_s:.1f} s): "
        "so far, only a file in the storage and rows in PostgreSQL."
    )
    return watch(video, console, check_programs=check_programs)


def _print_result(job: Job, console: Console, state_dir: Path) -> int:
    from project.local.demo.report import print_failure, print_publication  # noqa: PLC0415 - only once Django is set up
    from tasks.lifecycle.states import JobState  # noqa: PLC0415 - as above

    if job.state == JobState.SUCCEEDED:
        print_publication(job, console)
        return 0
    print_failure(job, console, log_dir=state_dir / "logs")
    return EXIT_REJECTED if job.state == JobState.FAILED else EXIT_FAILED


if __name__ == "__main__":
    raise SystemExit(main())
