"""Lets a Celery worker that was told to end do so in time, though its warm shutdown may hang.

Of some 200 workers that were told to end on a busy machine, two had done their last task and never left (Celery 5.7). Whoever stops
workers kills them after a while, mostly 30 s; up to then a deployment waits. A task is seconds long, is acknowledged late and may run
again, so a worker that is still there after `WORKER_EXIT_LIMIT_S` leaves at once.
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
def leave_in_time(**_: object) -> None:
    """Begin to count when the worker is told to end."""
    timer = threading.Timer(settings.WORKER_EXIT_LIMIT_S, _leave_now)
    timer.daemon = True
    timer.start()


def _leave_now() -> None:
    logger.warning("WORKER_EXIT_FORCED after %g s", settings.WORKER_EXIT_LIMIT_S)
    for child in _children(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os._exit(os.EX_TEMPFAIL)


def _children(process_id: int) -> list[int]:
    """The processes of the pool: they would go on without their parent."""
    found: list[int] = []
    for thread in Path(f"/proc/{process_id}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in thread.read_text().split()]
    return found
