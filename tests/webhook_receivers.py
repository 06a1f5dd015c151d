"""Real HTTP receivers of webhooks on this machine, healthy and otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass
class Receiver:
    """A server that answers each request by `behave`, and records what it received."""

    behave: Callable[[Receiver, socket.socket], None]
    port: int = 0
    connections: int = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/hooks"

    def read(self, client: socket.socket) -> None:
        """Read one request and record it."""
        received = b""
        while b"\r\n\r\n" not in received:
            part = client.recv(65536)
            if not part:
                return
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += client.recv(65536)
        self.requests.append((headers, body))


def answers(status: str, *, body: bytes = b"", headers: str = "") -> Callable[[Receiver, socket.socket], None]:
    """Answer each request with this status."""

    def behave(receiver: Receiver, client: socket.socket) -> None:
        receiver.read(client)
        client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return behave


def hangs(receiver: Receiver, client: socket.socket) -> None:
    """Never answer."""
    receiver.read(client)
    receiver.stopped.wait()


def closes(receiver: Receiver, client: socket.socket) -> None:
    """Close the connection without an answer."""
    receiver.read(client)


def drips(receiver: Receiver, client: socket.socket) -> None:
    """Answer so slowly that the status never comes, although each byte arrives in time."""
    receiver.read(client)
    for byte in b"HTTP/1.1 " + b"2" * 60:
        if receiver.stopped.wait(0.05):
            return
        client.sendall(bytes([byte]))


@contextmanager
def receiving(behave: Callable[[Receiver, socket.socket], None]) -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver(behave)
    server = socket.create_server((LOOPBACK, 0), backlog=64)
    receiver.port = server.getsockname()[1]

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            receiver.behave(receiver, client)

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            receiver.connections += 1
            threading.Thread(target=serve, args=[client], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.stopped.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def allowing_loopback(**settings: Any) -> dict[str, Any]:
    """Return bridge settings with which receivers on this machine are allowed."""
    return {"webhook_private_hosts": [LOOPBACK], "webhook_allow_http": True, "webhook_timeout_s": 1, **settings}
