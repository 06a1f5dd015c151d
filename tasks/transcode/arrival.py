"""Bytes of a source that still arrive while a child reads it: the child asks for those it needs, and waits.

So the probe reads what has just been written, which is still in memory, and not the whole file from
the disk once more after it has arrived. Only for a child whose reads all go through `ArrivalClient`:
what has not arrived reads as zeros.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .byte_ranges import ByteRange

_RANGE = struct.Struct("=QQ")
"""First byte and end. Shorter than what a pipe transfers at once (PIPE_BUF of pipe(7))."""


class ArrivalServer:
    """Answers the requests of one child, in a thread of its own. A context manager."""

    def __init__(self, wait_for: Callable[[ByteRange], ByteRange]) -> None:
        """`wait_for` gets a range, and returns one that has it, once all of that has arrived."""
        self._wait_for = wait_for
        self._requests, child_requests = os.pipe()
        child_answers, self._answers = os.pipe()
        self.child_descriptors = (child_answers, child_requests)
        """What `ArrivalClient` takes; to be inherited by the child."""
        self.is_awaited = False
        """Whether the child waits for an answer, and so makes no progress by no fault of its own."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="arrival", daemon=True)

    def __enter__(self) -> ArrivalServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The child has ended, so this was the last one that could send a request.
        for descriptor in self.child_descriptors:
            os.close(descriptor)
        self._thread.join()

    def raise_if_failed(self) -> None:
        """Raise what `wait_for` raised."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while len(request := os.read(self._requests, _RANGE.size)) == _RANGE.size:
                self.is_awaited = True
                answer = _RANGE.pack(*self._wait_for(_RANGE.unpack(request)))
                self.is_awaited = False
                os.write(self._answers, answer)
        except BaseException as error:  # noqa: BLE001 - raised again by raise_if_failed
            self._error = error
        finally:
            for descriptor in (self._requests, self._answers):
                os.close(descriptor)


class ArrivalClient:
    """A child's record of the bytes that have arrived."""

    def __init__(self, answers: int, requests: int) -> None:
        """Take the descriptors of `ArrivalServer.child_descriptors`."""
        self._answers, self._requests = answers, requests
        self._present: ByteRange = (0, 0)

    def wait_for(self, first: int, end: int) -> None:
        """Return once all of these bytes have arrived. Raises OSError if the parent does not answer."""
        if self._present[0] <= first and end <= self._present[1]:
            return
        os.write(self._requests, _RANGE.pack(first, end))
        answer = os.read(self._answers, _RANGE.size)
        if len(answer) != _RANGE.size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._present = _RANGE.unpack(answer)
