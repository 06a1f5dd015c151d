"""Proxy between a program and PostgreSQL: forwards everything, counts COMMITs, and cuts the connection around some.

Framing: "Message Formats" in PostgreSQL's manual. A client's first messages have no type byte, only
a length and a code; everything after the startup message starts with a type byte and a length.
"""

from __future__ import annotations

import enum
import select
import socket
import socketserver
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_START_UP_MAJOR = 3
"""A startup message has the protocol version, 3.x, in the place where encryption requests have a code."""

_COMMIT = b"COMMIT\0"
_BLOCK_BYTES = 65536


class Cut(enum.Enum):
    """When the connection is cut, relative to the COMMIT."""

    BEFORE = "PostgreSQL never receives it"
    AFTER = "PostgreSQL has committed, and the response never comes back"


class PostgresProxy:
    """Proxy for the server of `database_url`. `decide` maps the number of each COMMIT, from 1, to a cut or None.

    It may be replaced while the proxy runs.
    """

    def __init__(self, database_url: str, *, decide: Callable[[int], Cut | None] = lambda _: None) -> None:
        parts = urlsplit(database_url)
        assert parts.hostname is not None
        self._target = (parts.hostname, parts.port or 5432)
        self.decide = decide
        self._lock = threading.Lock()
        self.commits = 0
        self.cuts = 0
        self._server = _Server(("127.0.0.1", 0), self._handler())
        port = self._server.server_address[1]
        user = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    @contextmanager
    def running(self) -> Iterator[PostgresProxy]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(ConnectionError), socket.create_connection(proxy._target) as server:
                    _Session(self.request, server, at_commit=proxy._at_commit).run()

        return Handler

    def _at_commit(self) -> Cut | None:
        with self._lock:
            self.commits += 1
            cut = self.decide(self.commits)
            self.cuts += cut is not None
            return cut


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class _Session:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket, *, at_commit: Callable[[], Cut | None]) -> None:
        self._client = client
        self._server = server
        self._at_commit = at_commit
        self._received = b""
        self._has_started = False

    def run(self) -> None:
        """Forward everything until one side closes or the connection is cut."""
        while True:
            readable, _, _ = select.select([self._client, self._server], [], [])
            if self._server in readable and not self._forward_responses():
                return
            if self._client in readable and not self._forward_messages():
                return

    def _forward_responses(self) -> bool:
        block = self._server.recv(_BLOCK_BYTES)
        self._client.sendall(block)
        return bool(block)

    def _forward_messages(self) -> bool:
        block = self._client.recv(_BLOCK_BYTES)
        self._received += block
        while message := self._take_message():
            cut = self._at_commit() if message[:1] == b"Q" and message.endswith(_COMMIT) else None
            if cut is Cut.BEFORE:
                return False
            self._server.sendall(message)
            if cut is Cut.AFTER:
                # The first response confirms the COMMIT; the client never receives it.
                self._server.recv(_BLOCK_BYTES)
                return False
        return bool(block)

    def _take_message(self) -> bytes:
        """Return the client's next complete message, or b"" if there is none."""
        type_bytes = 1 if self._has_started else 0
        if len(self._received) < type_bytes + 8 and not (type_bytes and len(self._received) >= 5):
            return b""
        (length,) = struct.unpack_from("!i", self._received, type_bytes)
        end = type_bytes + length
        if len(self._received) < end:
            return b""
        message, self._received = self._received[:end], self._received[end:]
        if not type_bytes:
            self._has_started = struct.unpack_from("!h", message, 4)[0] == _START_UP_MAJOR
        return message
