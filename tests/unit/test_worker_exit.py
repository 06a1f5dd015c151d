"""A worker that hangs after SIGTERM is ended only if all of its tasks are ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from celery.signals import celeryd_after_setup, worker_shutting_down

from tasks.schedule.ticks import QUEUES
from tasks.schedule.worker_exit import exit_in_time

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_limit_remains() -> Iterator[None]:
    worker_shutting_down.disconnect(exit_in_time)
    yield
    worker_shutting_down.disconnect(exit_in_time)


@pytest.mark.parametrize(
    ("queues", "is_limited"),
    [(list(QUEUES), True), (["batchreel.observe"], True), ([*QUEUES, "celery"], False), (["celery"], False)],
)
def test_exit_is_limited_only_when_the_worker_consumes_no_queue_of_the_site(
    queues: list[str], *, is_limited: bool
) -> None:
    app = Celery("site", set_as_current=False)
    app.amqp.queues.select(queues)
    before = len(worker_shutting_down.receivers or [])
    celeryd_after_setup.send(sender="worker@host", instance=SimpleNamespace(app=app), conf=app.conf)
    assert (len(worker_shutting_down.receivers or []) > before) is is_limited
