"""The broker that this process sends its wake-ups to, and how long it waits for it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from project.celery import app as celery_app
from tasks import wakeup
from tasks.broker import RedisBroker, redis_broker
from tests.polling import assert_quick_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import pytest

BOUND_S = 2.5
"""Maximum time that one request waits for Redis in total: promise 7."""

_JOIN_TIMEOUT_S = 30.0


@contextmanager
def send_wakeups_to(url: str, **options: str) -> Iterator[None]:
    """Send this process's wake-ups to another Redis. `options` are those of `redis_broker`.

    The project's Celery app sends them, in a separate thread; in the test's thread,
    `celery.current_app` is another app.
    """
    conf = celery_app.conf
    before = RedisBroker(conf.broker_url, conf.broker_use_ssl, conf.broker_transport_options)
    broker = redis_broker(url, **options)
    try:
        _set_broker(broker._replace(transport_options={**before.transport_options, **broker.transport_options}))
        yield
    finally:
        _set_broker(before)


def set_broker(monkeypatch: pytest.MonkeyPatch, broker: RedisBroker) -> None:
    """Set the broker of the Celery application for a test of the doctor, the system checks or the metrics."""
    conf = celery_app.conf
    monkeypatch.setitem(conf, "broker_url", broker.url)
    monkeypatch.setitem(conf, "broker_use_ssl", broker.use_ssl)
    options = {**conf.broker_transport_options, **broker.transport_options}
    monkeypatch.setitem(conf, "broker_transport_options", options)


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


def _set_broker(broker: RedisBroker) -> None:
    conf = celery_app.conf
    conf.broker_url, conf.broker_use_ssl, conf.broker_transport_options = broker
    assert conf.broker_write_url == broker.url
