"""Hints: one per transaction, none after a rollback, never a wait that a person would notice."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from project.local.ports import free_port
from project.local.redis import redis_url
from tasks import hints
from tasks.models import Job
from tests.hint_target import hints_go_to
from tests.services.making import uploaded_video

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("hints_are_tried")

BOUND_S = 2.5


@pytest.mark.django_db
def test_one_hint_is_sent_when_a_transaction_saves_many_videos(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        for number in range(5):
            uploaded_video(title=str(number))
    assert callbacks == [hints.send_hint]


class _GivenUpError(Exception):
    pass


@transaction.atomic
def _upload_and_give_up() -> None:
    uploaded_video(title="given up")
    raise _GivenUpError


@pytest.mark.django_db
def test_hint_survives_when_the_savepoint_that_asked_first_is_rolled_back(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        with contextlib.suppress(_GivenUpError):
            _upload_and_give_up()
        with transaction.atomic():
            uploaded_video(title="kept")
    assert callbacks == [hints.send_hint]


@pytest.mark.django_db(transaction=True)
def test_saving_neither_fails_nor_waits_when_redis_refuses() -> None:
    with hints_go_to(redis_url(free_port())):
        started_s = time.monotonic()
        for number in range(5):
            uploaded_video(title=str(number))
        assert time.monotonic() - started_s < BOUND_S
    assert not hints.breaker.is_closed(), "no hint met the Redis that is away"
    assert Job.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_saving_neither_fails_nor_waits_when_redis_swallows_everything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as black_hole, hints_go_to(redis_url(black_hole.getsockname()[1])):
        started_s = time.monotonic()
        with transaction.atomic():
            for number in range(5):
                uploaded_video(title=str(number))
        uploaded_video(title="after the first hint failed, none is tried for a while")
        assert time.monotonic() - started_s < BOUND_S
    assert not hints.breaker.is_closed(), "no hint met the Redis that is away"
    assert Job.objects.count() == 6


@contextlib.contextmanager
def dripping_redis() -> Iterator[str]:
    """Something that never refuses and never answers: each byte comes before the client's patience with a silent one ends."""
    over = threading.Event()
    give_up_at_s = time.monotonic() + 3 * BOUND_S

    def drip(to: socket.socket) -> None:
        with to, contextlib.suppress(OSError):
            to.sendall(b"+")
            while not over.wait(0.2) and time.monotonic() < give_up_at_s:
                to.sendall(b".")

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        try:
            yield redis_url(listener.getsockname()[1])
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.django_db(transaction=True)
def test_saving_does_not_wait_when_redis_answers_a_byte_at_a_time() -> None:
    with dripping_redis() as url, hints_go_to(url):
        started_s = time.monotonic()
        for number in range(5):
            uploaded_video(title=str(number))
        assert time.monotonic() - started_s < BOUND_S
        assert not hints.breaker.is_closed(), "no hint met the Redis that drips"
    assert Job.objects.count() == 5
