"""Sockets that end a thread's wait for a client that is too slow, in either direction.

A timeout of the kernel limits only the time without any byte, and a client that sends or reads one
byte now and then stays below it. Here, every window of waiting must move a minimum of bytes. What
the thread itself takes, for the database or the storage, does not count.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

UNSENT_BYTES = 8 * 1024**2
"""What a thread leaves to the event loop of a response that its client reads slowly. The signed
playlist of a video of 12 hours has 4 MiB without compression; only media and uploaded files are larger."""

_BLOCK_BYTES = 256 * 1024


class TooSlowError(BrokenPipeError):
    """The client is too slow. For Gunicorn, it is gone."""

    def __init__(self) -> None:
        """Set the error number, by which Gunicorn decides."""
        super().__init__(errno.EPIPE, "The client is too slow")


class Pace:
    """What a client moved in one direction, and how long a thread waited for it."""

    def __init__(self, *, window_s: float, least_bytes_per_s: float) -> None:
        self._window_s = window_s
        self._least_bytes = window_s * least_bytes_per_s
        self._waited_s = 0.0
        self._moved_bytes = 0

    @property
    def left_s(self) -> float:
        """Seconds that a thread may wait until this window ends."""
        return self._window_s - self._waited_s

    def moved(self, size_bytes: int) -> None:
        """Count bytes of this window."""
        self._moved_bytes += size_bytes

    def waited(self, seconds: float) -> None:
        """Count a wait. At the end of a window, raise TooSlowError if it moved too little, or begin the next one."""
        self._waited_s += seconds
        if self.left_s > 0:
            return
        if self._moved_bytes < self._least_bytes:
            raise TooSlowError
        # A fast window earns no credit: a client could spend it on silence.
        self._waited_s, self._moved_bytes = 0.0, 0


class PacedSocket(socket.socket):
    """A connection whose blocking calls raise TooSlowError. With a timeout, its calls are those of any socket.

    After the first error all of them do, so a view that has not got its request's body sends no
    response to it: the client sees that the connection was lost.

    `unsent` is the end of a response that a thread has left to the event loop.
    """

    _reading: Pace
    _writing: Pace
    unsent: bytearray
    is_too_slow = False

    @classmethod
    def take_over(cls, sock: socket.socket) -> PacedSocket:
        """Return a paced socket in place of this one, which is closed for its owner."""
        return cls(sock.family, sock.type, sock.proto, fileno=sock.detach())

    def begin(self, *, window_s: float, least_bytes_per_s: float) -> None:
        """Begin a request: what the client did before does not count."""
        self.unsent = bytearray()
        self._reading = Pace(window_s=window_s, least_bytes_per_s=least_bytes_per_s)
        self._writing = Pace(window_s=window_s, least_bytes_per_s=least_bytes_per_s)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive what has arrived, or wait for it."""
        if self.gettimeout() is not None:
            return super().recv(bufsize, flags)
        while not self.is_too_slow:
            try:
                data = super().recv(bufsize, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(self._reading, select.POLLIN)
            else:
                self._reading.moved(len(data))
                return data
        raise TooSlowError

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send everything, as `sendall` does."""
        if self.gettimeout() is not None:
            return super().send(data, flags)
        self.sendall(data)
        return memoryview(data).nbytes

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Send what there is room for, and keep up to UNSENT_BYTES of the remainder; wait for room if it is more."""
        if self.gettimeout() is not None:
            super().sendall(data, flags)
            return
        if self.is_too_slow:
            raise TooSlowError
        self.unsent += data
        self.push()
        while len(self.unsent) > UNSENT_BYTES:
            self._wait(self._writing, select.POLLOUT)
            self.push()

    def push(self) -> None:
        """Send what there is room for now. Raises OSError if the client is gone."""
        while self.unsent:
            try:
                sent_bytes = super().send(bytes(self.unsent[:_BLOCK_BYTES]), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            del self.unsent[:sent_bytes]
            self._writing.moved(sent_bytes)

    def wait_elsewhere(self, seconds: float) -> None:
        """Count a wait of the event loop for room. Raises TooSlowError."""
        self._count_wait(self._writing, seconds)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a part of a file. Python's own method waits for room without any limit."""
        sent_bytes = 0
        while count is None or sent_bytes < count:
            size_bytes = _BLOCK_BYTES if count is None else min(_BLOCK_BYTES, count - sent_bytes)
            block = os.pread(file.fileno(), size_bytes, offset + sent_bytes)
            if not block:
                break
            self.sendall(block)
            sent_bytes += len(block)
        return sent_bytes

    def _wait(self, pace: Pace, event: int) -> None:
        ready = select.poll()
        ready.register(self, event)
        began_s = time.monotonic()
        ready.poll(1000 * pace.left_s)
        self._count_wait(pace, time.monotonic() - began_s)

    def _count_wait(self, pace: Pace, seconds: float) -> None:
        try:
            pace.waited(seconds)
        except TooSlowError:
            self.is_too_slow = True
            # Otherwise the kernel would keep what the client does not read, for minutes.
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
