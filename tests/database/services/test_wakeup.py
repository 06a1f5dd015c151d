"""Wake-ups: one per transaction, none after a rollback, and no noticeable wait."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from project.local.servers.ports import free_port
from project.local.servers.redis import redis_url
from tasks import wakeup
from tasks.broker.app import celery_app
from tasks.models import Job, Video
from tests.factories import uploaded_video
from tests.integration.broker_messages import clear_messages, queued_messages
from tests.wakeup_broker import BOUND_S, assert_no_wait_for_redis, finish_wakeups, send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("wakeups_are_sent")


@pytest.mark.django_db
def test_wakeup_is_sent_once_when_a_transaction_saves_many_videos(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        for number in range(5):
            uploaded_video(title=str(number))
    assert callbacks.count(wakeup.send_wakeup) == 1


class _RollbackError(Exception):
    pass


@transaction.atomic
def _upload_and_roll_back() -> None:
    uploaded_video(title="rolled back")
    raise _RollbackError


@pytest.mark.django_db
def test_wakeup_is_sent_when_the_first_savepoint_is_rolled_back(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        with contextlib.suppress(_RollbackError):
            _upload_and_roll_back()
        with transaction.atomic():
            uploaded_video(title="kept")
    assert callbacks.count(wakeup.send_wakeup) == 1


@pytest.mark.django_db(transaction=True)
def test_saving_neither_fails_nor_waits_when_redis_refuses() -> None:
    videos: list[Video] = []

    def save() -> None:
        videos.extend(uploaded_video(title=str(number)) for number in range(5))

    assert_no_wait_for_redis(save, redis_away=lambda: contextlib.nullcontext(redis_url(free_port())))
    assert Job.objects.filter(video__in=videos).count() == len(videos)


@contextlib.contextmanager
def silent_redis() -> Iterator[str]:
    """Server that accepts connections, but neither reads nor responses."""
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        yield redis_url(black_hole.getsockname()[1])


@pytest.mark.django_db(transaction=True)
def test_saving_neither_fails_nor_waits_when_redis_does_not_respond() -> None:
    videos: list[Video] = []

    def save() -> None:
        with transaction.atomic():
            videos.extend(uploaded_video(title=str(number)) for number in range(5))
        videos.append(uploaded_video(title="no wake-up is sent for a while after one failed"))

    assert_no_wait_for_redis(save, redis_away=silent_redis)
    assert Job.objects.filter(video__in=videos).count() == len(videos)


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://127.0.0.1:26379/0",  # names no master
        "sentinel://127.0.0.1:1;sentinel://127.0.0.1:2",
        "http://127.0.0.1:6379/0",
        "zookeeper://127.0.0.1:6379/0",
        "no.such.module://127.0.0.1:6379/0",
        "redis://:half#secret@127.0.0.1:6379/0",
        "redis://127.0.0.1:6379/lectures",
        "redis://127.0.0.1:6379/0?no_such_option=1",
        "rediss://127.0.0.1:6379/0?ssl_cert_reqs=sometimes",
        "rediss://127.0.0.1:6379/0?ssl_no_such_option=1",
        "rediss://127.0.0.1:6379/0?ssl_ca_certs=/no/such/file",
    ],
)
@pytest.mark.django_db(transaction=True)
def test_saving_neither_fails_nor_waits_when_the_broker_settings_are_unusable(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    videos: list[Video] = []
    assert_no_wait_for_redis(lambda: videos.append(uploaded_video()), redis_away=lambda: contextlib.nullcontext(url))
    finish_wakeups()  # an exception that nothing caught would fail this test
    assert Job.objects.filter(video__in=videos).count() == len(videos)
    assert "WAKEUP_FAILED" in caplog.text
    assert "half" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_saving_neither_fails_nor_waits_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    wakeup.send_wakeup()
    assert not wakeup.circuit_breaker.is_closed()


@contextlib.contextmanager
def slow_redis() -> Iterator[str]:
    """Server that never answers completely, but sends each byte before the client's timeout."""
    stop = threading.Event()
    give_up_at_s = time.monotonic() + 3 * BOUND_S

    def send_slowly(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(b"+")
            while not stop.wait(0.2) and time.monotonic() < give_up_at_s:
                client.sendall(b".")

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=send_slowly, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        try:
            yield redis_url(listener.getsockname()[1])
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.django_db(transaction=True)
def test_saving_does_not_wait_when_redis_responds_byte_by_byte() -> None:
    videos: list[Video] = []

    def save() -> None:
        videos.extend(uploaded_video(title=str(number)) for number in range(5))

    assert_no_wait_for_redis(save, redis_away=slow_redis)
    assert Job.objects.filter(video__in=videos).count() == len(videos)


@pytest.mark.django_db(transaction=True)
def test_wakeup_is_sent_when_the_result_backend_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = celery_app().conf
    changes = {
        "result_backend": redis_url(free_port()),
        "task_ignore_result": False,
        "task_routes": {"*": {"queue": "x"}},
    }
    for name, value in changes.items():
        monkeypatch.setitem(conf, name, value)
    monkeypatch.setattr(celery_app(), "_local", threading.local())  # forget the backend in use
    clear_messages()
    with send_wakeups_to(os.environ["REDIS_URL"]):
        wakeup.send_wakeup()
        finish_wakeups()
    (message,) = queued_messages()
    clear_messages()
    assert message["properties"]["delivery_info"]["routing_key"] == "batchreel.submit"
    headers = message["headers"]
    assert (headers["ignore_result"], headers["expires"] is None) == (True, False)


@pytest.mark.django_db(transaction=True)
def test_wakeup_is_not_sent_when_tasks_run_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(celery_app().conf, "task_always_eager", value=True)
    clear_messages()
    with send_wakeups_to(os.environ["REDIS_URL"]):
        wakeup.send_wakeup()
    assert queued_messages() == []
    assert wakeup.circuit_breaker.is_closed()
