"""Where this process sends its hints, and how long it waits for them."""

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
"""The longest that one request may wait for Redis in all: promise 7."""

_END_LIMIT_S = 30.0


@contextmanager
def wakeups_go_to(url: str) -> Iterator[None]:
    """Point this process's hints at another Redis.

    It is the project's application that sends them, in a thread of its own: `celery.current_app` is another one in the test's thread.
    """
    before = celery_app.conf.broker_url
    try:
        _set_broker(url)
        yield
    finally:
        _set_broker(before)


def forget_wakeups() -> None:
    """Let no hint that failed keep back the next ones, nor one that is still on its way."""
    for thread in threading.enumerate():
        if thread.name == "wakeup":
            thread.join(timeout=_END_LIMIT_S)
            assert not thread.is_alive(), "a hint never came to its end"
    wakeup.breaker.reset()


def assert_no_wait_for_redis(
    save: Callable[[], object], *, redis_away: Callable[[], AbstractContextManager[str]]
) -> None:
    """Save while Redis is away: a request never waits for it."""

    def once() -> float:
        forget_wakeups()
        with redis_away() as url, wakeups_go_to(url):
            started_s = time.monotonic()
            save()
            took_s = time.monotonic() - started_s
        assert not wakeup.breaker.is_closed(), "no request met the Redis that is away, so nothing is proved"
        return took_s

    assert_quick_once(once, limit_s=BOUND_S)


def _set_broker(url: str) -> None:
    celery_app.conf.broker_url = url
    celery_app._pool = None
    celery_app.amqp._producer_pool = None
    goes_to = celery_app.connection_for_write().as_uri(include_password=True)
    assert goes_to == url, f"hints go to {goes_to}"
