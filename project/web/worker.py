"""Gunicorn worker that gives a thread only to requests that have arrived.

With Gunicorn's own `gthread` worker, a thread reads the request from the socket, so a few clients
that send their bodies slowly hold all threads. Load balancers of AWS pass bodies on as they arrive.
This worker's event loop receives header and body first, up to `body_limit_bytes`, and answers /health/
itself, so that a load balancer gets a response while every thread is busy.

A larger body is left to the thread: tasks.views.body_limit decides who may send one,
and how many at a time. The event loop also sends the end of each response, up to UNSENT_BYTES, if its
client reads slowly. A thread that receives a large body, or sends a larger response, gives up if the
client is too slow, and so does the event loop (`PacedSocket`). How long a view may take is not limited.
"""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from project.web.head import HEAD_END, announced_bytes, expects_continue, has_transfer_encoding
from project.web.pace import PacedSocket, TooSlowError
from tasks.conf import bridge_settings

if TYPE_CHECKING:
    from concurrent.futures import Future

MAX_HEAD_BYTES = 64 * 1024
"""Largest request line and header. Browsers send less than 16 KiB."""

SMALL_BYTES = 16 * 1024
"""A request of this size is kept even when `buffered_limit_bytes` is used up."""

_RECEIVE_BYTES = 64 * 1024
_LINGER_S = 2.0
_HEALTH = b"GET /health/ "


@dataclass(slots=True)
class _Incoming:
    """A request that has not arrived completely. `whole_bytes` is None until its header has."""

    data: bytearray
    deadline_s: float
    searched_bytes: int = 0
    whole_bytes: int | None = None


class BufferingWorker(ThreadWorker):  # type: ignore[misc]  # Gunicorn has no types
    """A `gthread` worker whose threads never wait for the request of a slow client.

    With TLS in Gunicorn itself, it is Gunicorn's own worker.
    """

    request_limit_s = 30.0
    """Seconds from the first byte of a request to its last, for what the event loop receives."""

    pace_window_s = 30.0
    """Seconds that a thread waits for a client before it looks how much has arrived, or has been sent."""

    least_bytes_per_s = 16 * 1024
    """Least average in such a window, for bodies that a thread receives and for all responses: the scripts
    of a page arrive in half a minute, and a video of the lowest rung needs more."""

    buffered_limit_bytes = 64 * 1024 * 1024
    """What a process keeps of all requests together, until their responses: those that arrive, and those that wait
    for a thread. Each connection may have SMALL_BYTES in addition."""

    unsent_limit_bytes = 64 * 1024 * 1024
    """What a process keeps of all responses together. Above it, the client with the largest remainder is cut off."""

    @cached_property
    def body_limit_bytes(self) -> int:
        """Largest body that is received before a thread gets the request: the setting of this name."""
        return bridge_settings().body_limit_bytes

    def init_process(self) -> None:
        """Prepare the tables of connections. Called by Gunicorn in the new process."""
        self._incoming: dict[TConn, _Incoming] = {}
        self._closing: dict[TConn, float] = {}
        self._sending: dict[TConn, Future[Any]] = {}
        self._passed_bytes: dict[TConn, int] = {}
        self._buffered_bytes = 0
        self._expired_at_s = time.monotonic()
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Receive the connection's next request, then pass it to a thread.

        Gunicorn calls this for new connections, and for kept ones when they become readable.
        """
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        if not conn.initialized:
            conn.sock = PacedSocket.take_over(conn.sock)
        conn.init()
        conn.sock.settimeout(0)
        conn.sock.begin(window_s=self.pace_window_s, least_bytes_per_s=self.least_bytes_per_s)
        # A client may have sent the beginning of this request along with the previous one.
        received = conn.parser.unreader.take_buffered()
        limit_s = self.request_limit_s if received else self.cfg.keepalive
        self._incoming[conn] = _Incoming(bytearray(received), time.monotonic() + limit_s)
        self._buffered_bytes += len(received)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, conn))
        if received:
            self._pass_on_if_whole(conn)
        else:
            self._receive(conn)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Keep the connection, or close it. Gunicorn would wait here for the client's end of the connection."""
        self._buffered_bytes -= self._passed_bytes.pop(conn, 0)
        if not self.cfg.is_ssl and conn.sock.unsent and not conn.sock.is_too_slow:
            self._send_later(conn, fs)
        elif self.cfg.is_ssl or fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        elif conn.sock.is_too_slow:
            self._cut_off(conn)
        else:
            self._close(conn)

    def _send_later(self, conn: TConn, fs: Future[Any]) -> None:
        conn.sock.settimeout(0)
        self._sending[conn] = fs
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._send_rest, conn))
        if sum(len(each.sock.unsent) for each in self._sending) > self.unsent_limit_bytes:
            self._cut_off(max(self._sending, key=lambda each: len(each.sock.unsent)))

    def _send_rest(self, conn: TConn, _socket: object) -> None:
        if conn not in self._sending:  # cut off since the event loop found it writable
            return
        try:
            conn.sock.push()
        except OSError as error:
            self.log.debug("Ignoring %s", error)
            conn.sock.unsent.clear()
        if not conn.sock.unsent:
            self.poller.unregister(conn.sock)
            self.finish_request(conn, self._sending.pop(conn))

    def _cut_off(self, conn: TConn) -> None:
        self.log.warning("CLIENT_TOO_SLOW %s", conn.client)
        if self._sending.pop(conn, None):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close connections whose time is up. Gunicorn calls this at least once a second."""
        super().murder_pending()
        now_s = time.monotonic()
        if now_s - self._expired_at_s < 1:
            return
        since_s, self._expired_at_s = now_s - self._expired_at_s, now_s
        for conn, incoming in list(self._incoming.items()):
            is_idle = not incoming.data
            if is_idle and (now_s > incoming.deadline_s or not self.alive):
                self._drop(conn)
            elif now_s > incoming.deadline_s:
                self._refuse(conn, "408 Request Timeout")
        for conn, deadline_s in list(self._closing.items()):
            if now_s > deadline_s:
                self._closed(conn)
        for conn in list(self._sending):
            try:
                conn.sock.wait_elsewhere(since_s)
            except TooSlowError:
                self._cut_off(conn)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:  # noqa: FBT001 - Gunicorn's signature
        """Close the connection unless the whole request was received: Gunicorn would read the remainder first."""
        return bool((self.cfg.is_ssl or conn.is_whole) and super()._keepalive_after(conn, keepalive))

    def _receive(self, conn: TConn, _socket: object = None) -> None:
        incoming = self._incoming[conn]
        try:
            data = conn.sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(conn)
            return
        if not data:
            self._drop(conn)
            return
        if not incoming.data:
            incoming.deadline_s = time.monotonic() + self.request_limit_s
        incoming.data += data
        self._buffered_bytes += len(data)
        self._pass_on_if_whole(conn)

    def _pass_on_if_whole(self, conn: TConn) -> None:
        incoming = self._incoming[conn]
        if incoming.whole_bytes is None and not self._read_head(conn, incoming):
            return
        if self._buffered_bytes > self.buffered_limit_bytes and len(incoming.data) > SMALL_BYTES:
            self._refuse(conn, "503 Service Unavailable")
        elif len(incoming.data) >= (incoming.whole_bytes or 0):
            self._pass_on(conn, is_whole=True)

    def _read_head(self, conn: TConn, incoming: _Incoming) -> bool:
        """Set `whole_bytes` from the header. Return False if that is not possible, or nothing is left to do."""
        # Not from the beginning: a client may send its header byte by byte.
        head_bytes = incoming.data.find(HEAD_END, incoming.searched_bytes) + len(HEAD_END)
        if head_bytes < len(HEAD_END):
            incoming.searched_bytes = max(0, len(incoming.data) - len(HEAD_END))
            if len(incoming.data) > MAX_HEAD_BYTES:
                self._refuse(conn, "431 Request Header Fields Too Large")
            return False
        head = bytes(incoming.data[:head_bytes])
        if head.startswith(_HEALTH):
            self._reply(conn, "200 OK", b"ok")
            return False
        body_bytes = announced_bytes(head)
        if body_bytes is None:
            self._refuse(conn, "400 Bad Request")
            return False
        if body_bytes > self.body_limit_bytes or has_transfer_encoding(head):
            self._pass_on(conn, is_whole=False)
            return False
        incoming.whole_bytes = head_bytes + body_bytes
        if len(incoming.data) < incoming.whole_bytes and expects_continue(head):
            self._send(conn, b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _pass_on(self, conn: TConn, *, is_whole: bool) -> None:
        conn.is_whole = is_whole
        data = bytes(self._forget(conn).data)
        self._passed_bytes[conn] = len(data)
        self._buffered_bytes += len(data)
        conn.parser.unreader.unread(data)
        super().enqueue_req(conn)

    def _refuse(self, conn: TConn, status: str) -> None:
        self.log.warning("REQUEST_REFUSED %s %s", status, conn.client)
        self._reply(conn, status, status.encode())

    def _reply(self, conn: TConn, status: str, body: bytes) -> None:
        self._forget(conn)
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._send(conn, head.encode() + body)
        self._close(conn)

    def _send(self, conn: TConn, data: bytes) -> None:
        """Send a few bytes, which fit into the socket's buffer. A client that is gone is noticed elsewhere."""
        try:
            conn.sock.send(data)
        except OSError as error:
            self.log.debug("Ignoring %s", error)

    def _forget(self, conn: TConn) -> _Incoming:
        self.poller.unregister(conn.sock)
        incoming = self._incoming.pop(conn)
        self._buffered_bytes -= len(incoming.data)
        return incoming

    def _drop(self, conn: TConn) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _close(self, conn: TConn) -> None:
        """Close the connection once the client has read the response: RFC 9112, 9.6."""
        try:
            conn.sock.settimeout(0)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        self._closing[conn] = time.monotonic() + _LINGER_S
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))

    def _discard(self, conn: TConn, _socket: object) -> None:
        try:
            if conn.sock.recv(_RECEIVE_BYTES):
                return
        except BlockingIOError:
            return
        except OSError as error:
            self.log.debug("Ignoring %s", error)
        self._closed(conn)

    def _closed(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        del self._closing[conn]
        self.nr_conns -= 1
        conn.close()
