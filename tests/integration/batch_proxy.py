"""Proxy between boto3 and the AWS endpoint that counts all calls and can withhold one at the worst moment."""

from __future__ import annotations

import enum
import http.client
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT_S = 30.0
_HOP_BY_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class Withheld(enum.Enum):
    """Which half of a call does not arrive."""

    REQUEST = "the request never reaches AWS Batch"
    RESPONSE = "AWS Batch has executed the request, and the response never comes back"


class BatchProxy:
    """Proxy for the endpoint at `target_url`. A verb is the end of a call's path, such as `submitjob`."""

    def __init__(self, target_url: str) -> None:
        self._target = urlsplit(target_url).netloc
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._withheld: tuple[str, Withheld] | None = None
        self._reached = threading.Event()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[BatchProxy]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._closing.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def calls(self, verb: str) -> int:
        """Return the number of calls of this verb that have begun."""
        with self._lock:
            return self._calls[verb]

    def withhold_next(self, verb: str, what: Withheld) -> None:
        """Withhold the request or the response of the next call of this verb; forward all others."""
        with self._lock:
            self._withheld = (verb, what)
            self._reached.clear()

    def wait_until_withheld(self) -> None:
        """Wait until the caller hangs in the withheld call."""
        assert self._reached.wait(_LIMIT_S), "the call to withhold was never made"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write per response: a second one would wait 40 ms for the ACK of the first

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                withheld = proxy._count_call(self.path.rpartition("/")[2])
                if withheld is not Withheld.REQUEST:
                    status, headers, response = proxy._forward(self.path, dict(self.headers), body)
                if withheld is not None:
                    proxy._reached.set()
                    proxy._closing.wait(_LIMIT_S)
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response)))
                self.end_headers()
                self.wfile.write(response)

            def log_message(self, *_: object) -> None:
                """Print nothing: calls are counted instead."""

        return Handler

    def _count_call(self, verb: str) -> Withheld | None:
        """Count the call, and return the half of it to withhold, if any."""
        with self._lock:
            self._calls[verb] += 1
            if self._withheld is None or self._withheld[0] != verb:
                return None
            (_, what), self._withheld = self._withheld, None
            return what

    def _forward(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=_LIMIT_S)
        try:
            connection.request("POST", path, body=body, headers={**headers, "Host": self._target})
            response = connection.getresponse()
            kept = [each for each in response.getheaders() if each[0].lower() not in _HOP_BY_HOP_HEADERS]
            return response.status, kept, response.read()
        finally:
            connection.close()
