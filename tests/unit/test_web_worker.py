"""How the web worker reads a header, and how long a thread waits for a client."""

from __future__ import annotations

import re

import pytest

from project.web import head as web_head
from project.web.pace import Pace, TooSlowError

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
