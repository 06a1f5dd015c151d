"""Connections to a web server of the site, for clients that do what no HTTP library does."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, closing
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from tests.integration.faults.web_site import WebSite

THREADS = 2
LIMIT_S = 20
"""A thread that waits for a slow client would wait for much longer."""
LARGE_FILE = os.urandom(32 * 1024**2)
"""More than the kernel and the web process buffer for a connection."""
SMALL_FILE = LARGE_FILE[: 1024**2]


def connect(web: WebSite, connections: ExitStack) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", web.port), timeout=LIMIT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connections.enter_context(closing(client))


def assert_site_responds(web: WebSite) -> None:
    for path in ("health/", "login/", "health/"):
        assert requests.get(web.url + path, timeout=LIMIT_S).status_code == HTTPStatus.OK
