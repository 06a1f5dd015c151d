"""The broker that this process sends its wake-ups to, and how long it waits for it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from project.celery import app as celery_app
from tasks import wakeup
from tests.polling import assert_quick_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

BOUND_S = 2.5
"""Maximum time that one request waits for Redis in total: promise 7."""

_JOIN_TIMEOUT_S = 30.0


@contextmanager
def send_wakeups_to(url: str) -> Iterator[None]:
    """Send this process's wake-ups to another Redis.

    The project's Celery app sends them, in a separate thread; in the test's thread,
    `celery.current_app` is another app.
    """
    before = celery_app.conf.broker_url
    try:
        _set_broker(url)
        yield
    finally:
        _set_broker(before)


def finish_wakeups() -> None:
    """Join the threads that still send a wake-up, and close the circuit breaker."""
    for thread in threading.enumerate():
        if thread.name == "wakeup":
            thread.join(timeout=_JOIN_TIMEOUT_S)
            assert not thread.is_alive(), "a thread that sends a wake-up did not end"
    wakeup.circuit_breaker.reset()


def assert_no_wait_for_redis(
    save: Callable[[], object], *, redis_away: Callable[[], AbstractContextManager[str]]
) -> None:
    """Assert that `save` does not wait for a Redis that is unreachable."""

    def once() -> float:
        finish_wakeups()
        with redis_away() as url, send_wakeups_to(url):
            started_s = time.monotonic()
            save()
            took_s = time.monotonic() - started_s
        assert not wakeup.circuit_breaker.is_closed(), "no request tried to reach Redis, so this proves nothing"
        return took_s

    assert_quick_once(once, limit_s=BOUND_S)


def _set_broker(url: str) -> None:
    celery_app.conf.broker_url = url
    celery_app._pool = None  # type: ignore[attr-defined]
    celery_app.amqp._producer_pool = None  # type: ignore[attr-defined]
    goes_to = celery_app.connection_for_write().as_uri(include_password=True)
    assert goes_to == url, f"wake-ups go to {goes_to}"
