"""TCP proxy that can cut connections: all at once, or each after a number of response bytes.

It can also stall after a given byte, so that a test can act while a transfer is certainly running.
"""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_BYTES = 65536
_POLL_S = 0.05


class CuttingProxy:
    """Proxy that forwards bytes to the server of `target_url` until it is cut or paused."""

    def __init__(self, target_url: str, *, cut_after_bytes: int | None = None) -> None:
        parts = urlsplit(target_url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self.cut_after_bytes = cut_after_bytes
        """Maximum number of bytes from the server in each connection."""
        self.connections = 0
        self.sent_bytes = 0
        """Bytes sent from clients to the server, over all connections."""
        self._pause_at_bytes: int | None = None
        self._is_up = threading.Event()
        self._is_up.set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[CuttingProxy]:
        """Serve during the `with` block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.cut()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def cut(self) -> None:
        """Cut all connections; new ones are closed at once until `fix`."""
        self._is_up.clear()

    def pause(self, *, at_sent_bytes: int) -> None:
        """Forward nothing in either direction after clients sent `at_sent_bytes`, until `fix`."""
        self._pause_at_bytes = at_sent_bytes

    def is_paused(self) -> bool:
        """Return whether enough bytes were sent for the pause to have begun."""
        at_bytes = self._pause_at_bytes  # read once: `fix` may run at any moment
        return at_bytes is not None and self.sent_bytes >= at_bytes

    def fix(self) -> None:
        """Accept connections again, and forward everything."""
        self._pause_at_bytes = None
        self._is_up.set()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                if not proxy._is_up.is_set():
                    return
                proxy.connections += 1
                with suppress(OSError), socket.create_connection(proxy._target) as server:
                    proxy._pass_on(self.request, server)

        return Handler

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        answered_bytes = 0
        pace = threading.Event()
        while self._is_up.is_set():
            if self.is_paused():
                pace.wait(_POLL_S)
                continue
            for ready in select.select([client, server], [], [], _POLL_S)[0]:
                block = ready.recv(_BLOCK_BYTES)
                if not block:
                    return
                if ready is client:
                    self.sent_bytes += len(block)
                    server.sendall(block)
                    continue
                answered_bytes += len(block)
                if self.cut_after_bytes is not None and answered_bytes > self.cut_after_bytes:
                    return
                client.sendall(block)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
