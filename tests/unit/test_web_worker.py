"""How the web worker reads a header, and how long a thread waits for a client."""

from __future__ import annotations

import logging
import re
import selectors
import socket
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from project.web import head as web_head
from project.web.pace import Pace, PacedSocket, TooSlowError
from project.web.worker import BufferingWorker, _Incoming

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

WINDOW_S, LEAST_BYTES_PER_S = 30.0, 100
LEAST_BYTES = 3000


@pytest.mark.parametrize(
    ("fields", "size_bytes"),
    [
        (b"", 0),
        (b"Content-Length: 12\r\n", 12),
        (b"content-length:\t000012 \r\nHost: a\r\n", 12),
        (b"Content-Length: 999999999999999999\r\n", 10**18 - 1),
        (b"X: Content-Length: 12\r\n", 0),
    ],
)
def test_length_of_a_body_is_read_when_it_is_announced(fields: bytes, size_bytes: int) -> None:
    assert web_head.announced_bytes(b"POST / HTTP/1.1\r\n" + fields + b"\r\n") == size_bytes


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1 2", b"1,1", b"1_0", b"0x1", b"1" * 19, b"0" * 17 + b"x"])
def test_length_of_a_body_is_refused_when_it_is_malformed(value: bytes) -> None:
    assert web_head.announced_bytes(b"POST / HTTP/1.1\r\nContent-Length: " + value + b"\r\n\r\n") is None


def test_length_of_a_body_is_refused_when_there_are_several() -> None:
    assert web_head.announced_bytes(b"POST / HTTP/1.1\r\n" + 2 * b"Content-Length: 1\r\n" + b"\r\n") is None


def test_patterns_never_backtrack_when_a_header_is_long() -> None:
    # With one unbounded repeat after a fixed text, the time is linear in the header's size.
    patterns = [each.pattern for each in vars(web_head).values() if isinstance(each, re.Pattern)]
    assert patterns
    assert [each for each in patterns if len(re.findall(rb"[*+]|,\}", each)) > 1] == []


def test_client_is_cut_off_when_a_window_moves_too_little() -> None:
    pace = Pace(window_s=WINDOW_S, least_bytes_per_s=LEAST_BYTES_PER_S)
    for _ in range(LEAST_BYTES - 1):
        pace.moved(1)
        pace.waited(WINDOW_S / LEAST_BYTES)
    with pytest.raises(TooSlowError):
        pace.waited(WINDOW_S)


def test_client_is_not_cut_off_when_it_keeps_the_pace() -> None:
    pace = Pace(window_s=WINDOW_S, least_bytes_per_s=LEAST_BYTES_PER_S)
    for _ in range(10):
        pace.moved(LEAST_BYTES)
        pace.waited(WINDOW_S)
    assert pace.left_s == WINDOW_S


def test_fast_client_gets_no_credit_when_it_stops() -> None:
    pace = Pace(window_s=WINDOW_S, least_bytes_per_s=LEAST_BYTES_PER_S)
    pace.moved(1000 * LEAST_BYTES)
    pace.waited(WINDOW_S)
    with pytest.raises(TooSlowError):
        pace.waited(WINDOW_S)


@pytest.fixture
def worker() -> Iterator[BufferingWorker]:
    """Yield the event loop's part of a worker that keeps a megabyte of responses."""
    worker = object.__new__(BufferingWorker)
    worker.cfg, worker.log = SimpleNamespace(is_ssl=False), logging.getLogger()
    worker.poller = selectors.DefaultSelector()
    worker.unsent_limit_bytes = 1024 * 1024
    worker._sending, worker._closing, worker._passed_bytes = {}, {}, {}
    worker._buffered_bytes, worker.nr_conns = 0, 2
    yield worker
    worker.poller.close()


def sending(worker: BufferingWorker, ends: list[socket.socket], *, size_bytes: int) -> Any:
    """Add a connection to the worker whose client has not read its response, and return it."""
    ours, client = socket.socketpair()
    ends.append(client)
    connection = PacedSocket.take_over(ours)
    connection.begin(window_s=WINDOW_S, least_bytes_per_s=LEAST_BYTES_PER_S)
    connection.sendall(bytes(size_bytes))
    added = SimpleNamespace(sock=connection, client=f"client {len(ends)}", close=connection.close)
    added = _Hashable(**vars(added))
    done: Future[bool] = Future()
    done.set_result(False)
    worker.finish_request(added, done)
    return added


class _Hashable(SimpleNamespace):
    __hash__ = object.__hash__


def test_body_is_received_before_a_thread_gets_it_when_the_setting_allows_its_size(
    worker: BufferingWorker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "body_limit_bytes": 8 * 1024 * 1024}
    passed_on: list[bool] = []
    monkeypatch.setattr(worker, "_pass_on", lambda _conn, *, is_whole: passed_on.append(is_whole))
    for size_bytes in (8 * 1024 * 1024, 8 * 1024 * 1024 + 1):
        head = bytearray(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size_bytes)
        worker._read_head(SimpleNamespace(), _Incoming(head, deadline_s=0.0))
    assert passed_on == [False]


def test_worker_goes_on_when_a_client_that_reads_was_cut_off_in_the_same_round(worker: BufferingWorker) -> None:
    ends: list[socket.socket] = []
    first = sending(worker, ends, size_bytes=1024 * 1024)
    ends[0].recv(1024 * 1024)
    ((key, _),) = worker.poller.select(timeout=0)
    second = sending(worker, ends, size_bytes=1024 * 1024)
    assert (first in worker._sending, second in worker._sending) == (False, True)
    key.data(key.fileobj)
    assert worker.nr_conns == 1
    for end in ends:
        end.close()
    second.close()
