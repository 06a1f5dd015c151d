"""Wake-ups: a Celery message that starts a submit run early.

It carries no data, and nothing depends on its delivery.

A wake-up is sent once per transaction, after the commit and within bounded time. A failure to send
it is not an error, because the next tick finds the row. After a failure this process sends no
wake-ups for a while, so that a request that saves fifty videos does not wait fifty times for an
unavailable Redis.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import connection, transaction
from kombu.exceptions import OperationalError

from .broker.app import celery_app
from .broker.client import broker_connection
from .conf import bridge_settings
from .schedule.ticks import SUBMIT, WAKEUP_EXPIRY_S, WAKEUP_TASK

logger = logging.getLogger(__name__)


class _Breaker:
    """Circuit breaker of this process.

    Uses the process's monotonic clock, since no other machine is involved.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open_until_s = 0.0

    def is_closed(self) -> bool:
        """Return True if wake-ups may be sent; a closed breaker lets them through."""
        with self._lock:
            return time.monotonic() >= self._open_until_s

    def pause(self, pause_s: float) -> None:
        with self._lock:
            self._open_until_s = time.monotonic() + pause_s

    def reset(self) -> None:
        self.pause(0)


circuit_breaker = _Breaker()


def wake_on_commit() -> None:
    """Send one wake-up when the transaction commits, or immediately if there is none; never after a rollback.

    A wake-up that is already registered also serves this caller: it can only be rolled back
    together with the caller's own changes, because all savepoints that are open now enclose both.
    """
    if not any(function is send_wakeup for _, function, *_ in connection.run_on_commit):
        transaction.on_commit(send_wakeup, robust=True)


def send_wakeup() -> None:
    """Send a wake-up.

    Never raises because of the broker, and never waits longer than `broker_timeout_s`.

    The timeouts of the broker's client limit each try, not the number of tries (redis-py repeats a
    connection's health check ten times, each with the full timeout; measured: 20 s and more with a
    Redis that accepts everything and never answers). So the message is sent in its own thread,
    and the wait for this thread is bounded. See findings/celery-send-task-outlasts-socket-timeouts.sh.

    Does nothing with `task_always_eager`, the setting of tests without a broker: the task would run
    here, and call AWS.
    """
    if not circuit_breaker.is_closed():
        return
    if celery_app().conf.task_always_eager:
        return
    sending = threading.Thread(target=_send, name="wakeup", daemon=True)
    try:
        sending.start()
    except RuntimeError as error:
        _give_up(f"the process has no thread left: {error}")
        return
    sending.join(timeout=bridge_settings().broker_timeout_s)
    if sending.is_alive():
        _give_up("the broker did not answer")


def _send() -> None:
    """Send the message over a connection of its own.

    The site's pool of producers has the time limits of the site, and its result backend may be asked
    before a message is sent.
    """
    try:
        with broker_connection(timeout_s=bridge_settings().broker_timeout_s) as connection:
            celery_app().send_task(
                WAKEUP_TASK,
                connection=connection,
                queue=SUBMIT.queue,
                expires=WAKEUP_EXPIRY_S,
                ignore_result=True,
                retry=False,
            )
    except (OperationalError, OSError) as error:
        # If no sentinel names a master, redis-py appends every option of every connection.
        _give_up(str(error).partition(" : <redis")[0])
    except Exception as error:  # noqa: BLE001 - kombu raises many kinds for broker settings that it cannot use
        # Without the text, which may contain part of a password that is not percent-encoded.
        _give_up(f"{type(error).__name__}; `manage.py check` names a setting of the broker that cannot be used")


def _give_up(why: str) -> None:
    circuit_breaker.pause(bridge_settings().broker_backoff_s)
    logger.warning("WAKEUP_FAILED: %s. The next tick submits what is due.", why)
