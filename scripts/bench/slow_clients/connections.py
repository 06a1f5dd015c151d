"""Connections of clients that are slow: some send their bodies slowly, others do not read their responses."""

from __future__ import annotations

import selectors
import socket
import threading
import time

LOOPBACK = "127.0.0.1"
LIMIT_S = 30.0
TOKEN = "a" * 32
LARGE_BYTES = 60 * 1024**2
STATIC_NAME = "script.js"

_SMALL_BYTES = 10_000


class Clients(threading.Thread):
    """A number of connections, held until `stop`."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self._port, self._number = port, number
        self._stop_requested = threading.Event()
        self.connects = 0

    def stop(self) -> None:
        """Close all connections."""
        self._stop_requested.set()
        self.join()


class SlowClients(Clients):
    """Connections that announce a body, small or large by turns, and send one byte a second.

    They reconnect a second after the server has closed them.
    """

    def __init__(self, port: int, number: int) -> None:
        super().__init__(port, number)
        self._refused: list[tuple[float, int]] = []

    def run(self) -> None:
        """Send until `stop`."""
        with selectors.DefaultSelector() as selector:
            for each in range(self._number):
                self._connect(selector, each)
            while not self._stop_requested.is_set():
                for key, _ in selector.select(timeout=0.2):
                    self._read(selector, key)
                now = time.monotonic()
                due = [number for closed_at, number in self._refused if now - closed_at >= 1]
                self._refused = [each for each in self._refused if now - each[0] < 1]
                for number in due:
                    self._connect(selector, number)
                for key in list(selector.get_map().values()):
                    if now - key.data["sent_at"] >= 1:
                        self._send(selector, key, now)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def _connect(self, selector: selectors.BaseSelector, number: int) -> None:
        self.connects += 1
        connection = socket.create_connection((LOOPBACK, self._port), timeout=LIMIT_S)
        length = LARGE_BYTES if number % 2 else _SMALL_BYTES
        connection.sendall(
            f"POST /login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken={TOKEN}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        connection.settimeout(0)
        selector.register(connection, selectors.EVENT_READ, {"number": number, "sent_at": time.monotonic()})

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        try:
            if key.fileobj.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._closed(selector, key)

    def _send(self, selector: selectors.BaseSelector, key: selectors.SelectorKey, now: float) -> None:
        key.data["sent_at"] = now
        try:
            key.fileobj.send(b"x")
        except OSError:
            self._closed(selector, key)

    def _closed(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        selector.unregister(key.fileobj)
        key.fileobj.close()
        self._refused.append((time.monotonic(), key.data["number"]))


class SlowReaders(Clients):
    """Connections that request a static file and read nothing. They reconnect once the server has closed them."""

    def run(self) -> None:
        """Hold the connections until `stop`."""
        connections = [self._connect() for _ in range(self._number)]
        while not self._stop_requested.wait(1):
            for place, connection in enumerate(connections):
                try:
                    connection.send(b"x")  # fails once the server has closed the connection
                except OSError:
                    connection.close()
                    connections[place] = self._connect()

    def _connect(self) -> socket.socket:
        self.connects += 1
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # so that the kernel buffers little
        connection.connect((LOOPBACK, self._port))
        connection.sendall(f"GET /static/{STATIC_NAME} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return connection
