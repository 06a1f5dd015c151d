"""The local site's part on top of the stack: migrate the database, register the job definition, run Celery."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

from project.local.servers.server import Service
from tasks.schedule.ticks import QUEUES

WEB_PORT = 8000
"""Port of the web pages under `scripts/dev`, unless another program uses it."""

CELERY_WORKER = ("worker", "-Q", ",".join(QUEUES), "--concurrency", "2", "--loglevel", "INFO")
CELERY_BEAT = ("beat", "--loglevel", "INFO")


def set_up_django() -> None:
    """Set up Django. Its settings must be in the environment."""
    import django  # noqa: PLC0415 - only once the environment is complete

    django.setup()


def prepare_site() -> None:
    """Set up Django, migrate the database and register the job definition.

    The settings must be in the environment.
    """
    set_up_django()
    from django.core.management import call_command  # noqa: PLC0415 - only once Django is set up

    with redirect_stdout(io.StringIO()):
        call_command("migrate", verbosity=0, interactive=False)
        call_command("register_job_definition")


@contextmanager
def running_celery(environment: Mapping[str, str], log_dir: Path) -> Iterator[Callable[[], None]]:
    """Run a Celery worker and beat while the block runs, with their logs in `log_dir`.

    Yield a function that raises StackError if one of them has exited unexpectedly.
    """
    programs: list[Service] = []

    def check() -> None:
        for program in programs:
            program.check()

    log_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ending:
        for name, arguments in (("worker", CELERY_WORKER), ("beat", CELERY_BEAT)):
            program = Service(
                name=f"Celery {name}",
                command=[sys.executable, "-m", "celery", "-A", "project", *arguments],
                environment={**os.environ, **environment},
                folder=Path(__file__).resolve().parents[2],
                log_path=log_dir / f"{name}.log",
            )
            ending.callback(program.stop)
            programs.append(program)
        yield check
