"""Clients that do not read their responses hold no thread of the web server for long."""

from __future__ import annotations

import http.client
import select
import socket
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest
import requests

from tests.integration.faults.raw_clients import (
    LARGE_FILE,
    LIMIT_S,
    SMALL_FILE,
    THREADS,
    assert_site_responds,
    connect,
)

if TYPE_CHECKING:
    from tests.integration.faults.web_site import WebSite

pytestmark = pytest.mark.django_db(transaction=True)

SLOW_CLIENTS = 4 * THREADS
LITTLE_BYTES, MUCH_BYTES = 4 * 1024**2, 7 * 1024**2
"""Two small parts fit into what a `ForgetfulWorker` keeps, but not a small and a large one, whatever the kernel
takes of each: some hundred KiB."""
GET_SMALL_FILE = b"GET /static/small.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "request_range",
    [pytest.param(b"", id="file", marks=pytest.mark.long), pytest.param(b"Range: bytes=1-\r\n", id="part")],
)
def test_pages_respond_when_clients_stop_reading_a_large_file(
    request_range: bytes, hasty_web: WebSite, connections: ExitStack
) -> None:
    clients = [connect(hasty_web, connections) for _ in range(2 * THREADS)]
    for client in clients:
        client.sendall(b"GET /static/large.bin HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % request_range)
    assert_site_responds(hasty_web)
    # One that was read before its turn would get the whole file.
    for client in clients:
        assert_cut_off(client)
    for client in clients:
        assert 0 < bytes_until_end(client) < len(LARGE_FILE)


def assert_cut_off(client: socket.socket) -> None:
    """Wait, without reading, until the server has closed the connection."""
    hung_up = select.poll()
    hung_up.register(client, 0)
    assert hung_up.poll(1000 * LIMIT_S), "the server has not closed the connection"


def bytes_until_end(client: socket.socket) -> int:
    """Return the number of bytes that arrive until the server closes the connection."""
    size_bytes = 0
    with suppress(ConnectionResetError):
        while data := client.recv(65536):
            size_bytes += len(data)
    return size_bytes


def connect_reader(web: WebSite, connections: ExitStack) -> socket.socket:
    """Return a connection for which the kernel buffers less than the small file."""
    client = connections.enter_context(closing(socket.socket()))
    client.settimeout(LIMIT_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.connect(("127.0.0.1", web.port))
    return client


def whole_file(client: socket.socket) -> bytes:
    """Return the file that the client gets, or nothing if it is cut off."""
    response = http.client.HTTPResponse(client)
    response.begin()
    with suppress(OSError, http.client.IncompleteRead):
        return response.read()
    return b""


def test_pages_respond_when_clients_do_not_read_a_small_file(web: WebSite, connections: ExitStack) -> None:
    clients = [connect_reader(web, connections) for _ in range(SLOW_CLIENTS)]
    for client in clients:
        client.sendall(GET_SMALL_FILE)
    assert_site_responds(web)
    for client in clients:
        assert whole_file(client) == SMALL_FILE
    clients[0].sendall(GET_SMALL_FILE)
    assert whole_file(clients[0]) == SMALL_FILE, "the connection was kept"


def test_client_is_cut_off_when_it_never_reads_the_end_of_its_response(
    hasty_web: WebSite, connections: ExitStack
) -> None:
    client = connect_reader(hasty_web, connections)
    client.sendall(GET_SMALL_FILE)
    assert_cut_off(client)


def test_reader_of_the_largest_response_is_cut_off_when_too_much_is_unsent(
    forgetful_web: WebSite, connections: ExitStack
) -> None:
    clients = [connect_reader(forgetful_web, connections) for _ in range(3)]
    get = b"GET /static/large.bin HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-%d\r\n\r\n"
    for client, size_bytes in zip(clients, [LITTLE_BYTES, MUCH_BYTES, LITTLE_BYTES], strict=True):
        client.sendall(get % (size_bytes - 1))
        client.recv(1, socket.MSG_PEEK)
    assert_site_responds(forgetful_web)
    assert [len(whole_file(client)) for client in clients] == [LITTLE_BYTES, 0, LITTLE_BYTES]


def test_large_file_arrives_unchanged_when_its_client_reads_on(web: WebSite) -> None:
    url = f"{web.url}static/large.bin"
    assert requests.get(url, timeout=LIMIT_S).content == LARGE_FILE
    assert requests.get(url, headers={"Range": "bytes=7-"}, timeout=LIMIT_S).content == LARGE_FILE[7:]
