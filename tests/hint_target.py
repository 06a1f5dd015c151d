"""Where this process sends its hints."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from project.celery import app as celery_app

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def hints_go_to(url: str) -> Iterator[None]:
    """Point this process's hints at another Redis.

    It is the project's application that sends them, in a thread of its own: `celery.current_app` is another one in the test's thread.
    """
    before = celery_app.conf.broker_url
    try:
        _set_broker(url)
        yield
    finally:
        _set_broker(before)


def _set_broker(url: str) -> None:
    celery_app.conf.broker_url = url
    celery_app._pool = None
    celery_app.amqp._producer_pool = None
    goes_to = celery_app.connection_for_write().as_uri(include_password=True)
    assert goes_to == url, f"hints go to {goes_to}"
