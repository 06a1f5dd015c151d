"""Hints: a Celery message that says "there is work". It never says which, and nothing depends on its arriving.

A hint is sent once per transaction, after its commit, within bounded time, and its failure is nobody's error: the next tick finds the
row. After a hint that could not be sent, this process sends none for a while, so that a request which saves fifty videos does not
wait fifty times for a Redis that is away.
"""

from __future__ import annotations

import logging
import threading
import time

from celery import current_app
from django.db import connection, transaction
from kombu.exceptions import OperationalError

from .conf import bridge_settings
from .schedule.ticks import WAKEUP_TASK

logger = logging.getLogger(__name__)


class _Breaker:
    """Remembers, in this process, until when no hint is tried. Uses the process's monotonic clock: no other machine is involved."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open_until_s = 0.0

    def is_closed(self) -> bool:
        """Closed is how a breaker is when all is well: what comes goes through."""
        with self._lock:
            return time.monotonic() >= self._open_until_s

    def pause(self, pause_s: float) -> None:
        with self._lock:
            self._open_until_s = time.monotonic() + pause_s

    def reset(self) -> None:
        self.pause(0)


breaker = _Breaker()


def wake_on_commit() -> None:
    """Send one hint when the current transaction commits; at once where there is none; not at all after a rollback.

    A hint that is waiting already serves this caller too: it can only be rolled back together with what this caller does, because all
    savepoints that are open now surround both.
    """
    if not any(function is send_wakeup for _, function, *_ in connection.run_on_commit):
        transaction.on_commit(send_wakeup, robust=True)


def send_wakeup() -> None:
    """Send the hint to submit. Never raises because of the broker, and never waits for it longer than `broker_timeout_s`.

    The time-outs of the broker's client bound each of its tries, not their number (redis-py repeats a connection's health check ten
    times, each for a whole time-out; measured: 20 s and more with a Redis that swallows everything). So the sending has a thread of its
    own, and it is the waiting for this thread that is bounded.
    """
    if not breaker.is_closed():
        return
    sending = threading.Thread(target=_send, name="wakeup", daemon=True)
    sending.start()
    sending.join(timeout=bridge_settings().broker_timeout_s)
    if sending.is_alive():
        _give_up("the broker did not answer")


def _send() -> None:
    try:
        current_app.send_task(WAKEUP_TASK, expires=60)
    except (OperationalError, OSError) as error:
        _give_up(str(error))


def _give_up(why: str) -> None:
    breaker.pause(bridge_settings().broker_backoff_s)
    logger.warning("WAKEUP_FAILED: %s. The next tick submits what is due.", why)
