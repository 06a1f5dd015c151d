"""Clients that send slowly hold no thread of the web server, and /health/ needs none."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import psycopg
import pytest
import requests
from django.db import connection
from django.test import Client

from tests.factories import lecturer
from tests.integration.faults.raw_clients import LIMIT_S, THREADS, assert_site_responds, connect
from tests.integration.faults.web_site import WebSite
from tests.polling import wait_for
from tests.tls_redis import make_authority

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db(transaction=True)

SLOW_CLIENTS = 4 * THREADS
RECEIVED_BYTES = 64 * 1024
"""What the event loop receives of a request at a time."""
FORM = b"username=nobody&password=wrong"
HEAD = (
    "POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    f"Content-Length: {len(FORM)}\r\n"
).encode()


def received(client: socket.socket, pattern: bytes) -> bytes:
    """Return what the server has sent once it contains the pattern."""
    data = b""

    def look() -> bool:
        nonlocal data
        data += client.recv(65536)
        return re.search(pattern, data, re.DOTALL) is not None

    wait_for(look, limit_s=LIMIT_S, what=f"{pattern!r} from the server")
    return data


def is_waiting(client: socket.socket) -> bool:
    """Return whether the connection is open and the server has sent nothing."""
    client.settimeout(0)
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize(
    "sent",
    [HEAD + b"\r\n" + FORM[:10], HEAD, b"POST /login/", b"", HEAD[:-4] + b"0" * 17 + b"9\r\n\r\nu"],
    ids=["body", "header", "line", "nothing", "long length"],
)
def test_pages_and_health_respond_when_clients_send_slowly(sent: bytes, web: WebSite, connections: ExitStack) -> None:
    slow = [connect(web, connections) for _ in range(SLOW_CLIENTS)]
    for client in slow:
        client.sendall(sent)
    assert_site_responds(web)
    assert all(is_waiting(client) for client in slow)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\n", b"\n\n"])
def test_pages_and_health_respond_when_a_header_seems_to_end(end: bytes, web: WebSite, connections: ExitStack) -> None:
    # What looks like the end of a header goes to a thread, which must not wait for more.
    for _ in range(SLOW_CLIENTS):
        connect(web, connections).sendall(end + HEAD[:20] + end)
    assert_site_responds(web)


def test_slow_client_gets_its_response_when_it_has_sent_everything(web: WebSite, connections: ExitStack) -> None:
    client = connect(web, connections)
    for piece in (HEAD[:20], HEAD[20:], b"\r\n", FORM[:5], FORM[5:]):
        assert is_waiting(client)
        client.settimeout(LIMIT_S)
        client.sendall(piece)
    # Without a token, the CSRF check reads the form and refuses it.
    assert b"HTTP/1.1 403" in received(client, rb"send the form again.*</html>")


def test_both_requests_are_answered_when_a_client_sends_them_together(web: WebSite, connections: ExitStack) -> None:
    client = connect(web, connections)
    get = b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.sendall(get + get[:10])
    received(client, rb"HTTP/1.1 302.*\r\n\r\n")
    client.sendall(get[10:])
    received(client, rb"HTTP/1.1 302.*\r\n\r\n")


def test_body_is_requested_when_a_client_waits_for_the_permission(web: WebSite, connections: ExitStack) -> None:
    client = connect(web, connections)
    client.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
    received(client, rb"HTTP/1.1 100 Continue\r\n\r\n")
    client.sendall(FORM)
    received(client, rb"HTTP/1.1 403.*</html>")


def test_large_body_is_refused_and_its_connection_closed_when_it_is_announced(
    web: WebSite, connections: ExitStack
) -> None:
    clients = [connect(web, connections) for _ in range(3 * SLOW_CLIENTS)]
    for client in clients:
        client.sendall(HEAD.replace(str(len(FORM)).encode(), b"60000000") + b"Accept: application/json\r\n\r\nx")
    give_up_at_s = time.monotonic() + LIMIT_S
    for client in clients:
        received(client, b'"code": "BODY_TOO_LARGE"')
        wait_for(lambda client=client: client.recv(65536) == b"", limit_s=LIMIT_S, what="the end of the connection")
    # None of them has closed its own end, for which Gunicorn would wait two seconds each, one after the other.
    assert time.monotonic() < give_up_at_s


def test_health_responds_when_every_thread_waits_for_the_database(
    web: WebSite, program_environment: dict[str, str]
) -> None:
    session = {"sessionid": "a" * 32}
    with ThreadPoolExecutor(2 * THREADS) as executor:
        with psycopg.connect(program_environment["DATABASE_URL"]) as locker, locker.transaction():
            locker.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
            pending = [executor.submit(requests.get, web.url, cookies=session, timeout=120) for _ in range(2 * THREADS)]
            wait_for(lambda: waiting_sessions() == THREADS, what="the wait of all threads for the table")
            response = requests.get(f"{web.url}health/", timeout=LIMIT_S)
            assert (response.status_code, response.text) == (HTTPStatus.OK, "ok")
            assert not any(each.done() for each in pending)
        assert {each.result().status_code for each in pending} == {HTTPStatus.OK}, "the login page"


def test_complete_request_is_refused_when_those_that_wait_for_a_thread_fill_the_memory(
    forgetful_web: WebSite, program_environment: dict[str, str], connections: ExitStack
) -> None:
    body = FORM.ljust(768 * 1024, b"x")
    request = HEAD.replace(b": %d\r\n" % len(FORM), b": %d\r\n" % len(body)) + b"\r\n" + body
    first, second, later = (connect(forgetful_web, connections) for _ in range(3))
    with psycopg.connect(program_environment["DATABASE_URL"]) as locker, locker.transaction():
        locker.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
        holder = connect(forgetful_web, connections)
        holder.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: sessionid=%b\r\n\r\n" % (b"a" * 32))
        wait_for(lambda: waiting_sessions() == 1, what="the wait of the only thread for the table")
        first.sendall(request)
        for _ in range(2 * len(request) // RECEIVED_BYTES):
            # In each round, the event loop receives a block of the first request as well, until it has all of it.
            requests.get(f"{forgetful_web.url}health/", timeout=LIMIT_S)
        second.sendall(request)
        received(second, rb"HTTP/1.1 503 Service Unavailable\r\n")
        assert is_waiting(first)
    first.settimeout(LIMIT_S)
    received(first, rb"HTTP/1.1 403.*</html>")
    wait_for(lambda: first.recv(65536) == b"", limit_s=LIMIT_S, what="the end of the connection")
    later.sendall(request)
    received(later, rb"HTTP/1.1 403.*</html>")


def waiting_sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'django_session'::regclass")
        (found,) = cursor.fetchone()
    return int(found)


def test_slow_client_is_dropped_when_its_time_is_up(hasty_web: WebSite, connections: ExitStack) -> None:
    client = connect(hasty_web, connections)
    client.sendall(HEAD + b"\r\n" + FORM[:10])
    received(client, rb"HTTP/1.1 408 Request Timeout\r\n.*Connection: close")


@pytest.mark.parametrize("length", [b"-1", b"+9", b"9" * 19, b"9\r\nContent-Length: 9"])
def test_request_gets_no_thread_when_its_length_is_malformed(
    length: bytes, web: WebSite, connections: ExitStack
) -> None:
    client = connect(web, connections)
    client.sendall(HEAD.replace(b": %d\r\n" % len(FORM), b": %b\r\n" % length) + b"\r\n")
    # The thread's own refusal is a page.
    received(client, rb"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain")


def test_large_body_is_cut_off_when_it_arrives_byte_by_byte(hasty_web: WebSite, connections: ExitStack) -> None:
    browser = Client()
    browser.force_login(lecturer("sender"))
    client = connect(hasty_web, connections)
    client.sendall(
        b"POST /upload/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 60000000\r\nCookie: sessionid=%b; csrftoken=%b\r\n\r\n"
        % (browser.cookies["sessionid"].value.encode(), b"a" * 32)
    )

    def is_cut_off() -> bool:
        try:
            client.sendall(b"x")
        except OSError:
            return True
        return False

    wait_for(is_cut_off, limit_s=LIMIT_S, what="the end of the connection")


def test_kept_connection_gets_one_response_for_each_request_when_gunicorn_ends_tls(
    web_environment: dict[str, str], connections: ExitStack, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    web = WebSite(web_environment, tmp_path, "--certfile", str(authority.server_file))
    connections.callback(web.kill)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    client = connections.enter_context(
        closing(http.client.HTTPSConnection("127.0.0.1", web.port, context=context, timeout=LIMIT_S))
    )

    def responds() -> bool:
        with suppress(OSError):
            client.connect()
            return True
        return False

    wait_for(responds, what="the web server")
    connected = client.sock
    for _ in range(3):
        client.request("GET", "/login/")
        response = client.getresponse()
        response.read()
        assert response.status == HTTPStatus.OK
        assert client.sock is connected
