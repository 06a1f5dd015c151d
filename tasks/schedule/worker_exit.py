"""Forced exit for Celery workers of our queues whose warm shutdown hangs.

Of some 200 workers that received SIGTERM on a busy machine, two finished their last task and never
exited (Celery 5.7). Process managers kill such workers after a timeout, usually 30 s, and a
deployment waits until then. A task of ours takes seconds, is acknowledged late and may run again, so
a worker that is still running `worker_exit_limit_s` after the signal exits immediately. A worker
that consumes any other queue is left alone, because the site's own tasks may take as long as they like.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.signals import celeryd_after_setup, worker_shutting_down

from ..conf import bridge_settings
from .ticks import QUEUES

logger = logging.getLogger(__name__)


@celeryd_after_setup.connect
def limit_exit(*, instance: Any, **_: object) -> None:
    """Limit the shutdown of this worker if it consumes only our queues."""
    if set(instance.app.amqp.queues.consume_from) <= set(QUEUES):
        worker_shutting_down.connect(exit_in_time)


def exit_in_time(**_: object) -> None:
    """Start the timer when the worker begins to shut down."""
    timer = threading.Timer(bridge_settings().worker_exit_limit_s, _exit_now)
    timer.daemon = True
    timer.start()


def _exit_now() -> None:
    logger.warning("WORKER_EXIT_FORCED after %g s", bridge_settings().worker_exit_limit_s)
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
