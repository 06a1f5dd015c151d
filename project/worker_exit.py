"""Forced exit for Celery workers whose warm shutdown hangs.

Of some 200 workers that received SIGTERM on a busy machine, two finished their last task and never
exited (Celery 5.7). Process managers kill such workers after a timeout, usually 30 s, and a
deployment waits until then. A task takes seconds, is acknowledged late and may run again, so a
worker that is still running `WORKER_EXIT_LIMIT_S` after the signal exits immediately.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

from celery.signals import worker_shutting_down
from django.conf import settings

logger = logging.getLogger(__name__)


@worker_shutting_down.connect
def exit_in_time(**_: object) -> None:
    """Start the timer when the worker begins to shut down."""
    timer = threading.Timer(settings.WORKER_EXIT_LIMIT_S, _exit_now)
    timer.daemon = True
    timer.start()


def _exit_now() -> None:
    logger.warning("WORKER_EXIT_FORCED after %g s", settings.WORKER_EXIT_LIMIT_S)
    for child in _children(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os._exit(os.EX_TEMPFAIL)


def _children(process_id: int) -> list[int]:
    """Return the ids of the pool's processes, which would keep running without their parent."""
    found: list[int] = []
    for thread in Path(f"/proc/{process_id}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in thread.read_text().split()]
    return found
