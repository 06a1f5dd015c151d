"""Guard of a file of which only some byte ranges are present: a child that reads any other byte is stopped.

A hole in a sparse file reads as zeros, which a demuxer may skip without an error. So the kernel asks
this process before each read of the child (seccomp_unotify(2)): the read waits, its file and offset
are looked up in /proc, and it is allowed only if all of its bytes are present. There is no other way to
the bytes: all calls that read or map files are watched, io_uring and asynchronous I/O are denied, and
if nobody answers, the child's reads fail.

Needs Linux 5.5 or newer. The cost is about 50 microseconds for each read, of which ffmpeg makes one
for each 32 KiB.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import threading
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..byte_ranges import merged
from ..errors import EncodeError
from . import seccomp

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import IO

    from ..byte_ranges import ByteRange, ByteRanges

HOLE_READ = "HOLE_READ"
READS_UNWATCHED = "READS_UNWATCHED"
"""Codes of EncodeError; neither is the fault of the file. With the whole file, neither can occur."""

_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
"""SECCOMP_IOCTL_NOTIF_RECV and SECCOMP_IOCTL_NOTIF_SEND."""
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags; and seccomp_data: number, architecture, instruction, arguments."""
_RESPONSE = struct.Struct("=QqiI")
_DESCRIPTOR = struct.Struct("i")
_POLL_MS = 250

_FILE_ARGUMENTS = {"mmap": 4, "sendfile": 1}
"""Which argument is the file that is read; the first one for all other calls."""


@dataclass(frozen=True, slots=True)
class PartialFile:
    """A file and the byte ranges of it that are present."""

    path: Path
    present: ByteRanges


def can_guard_reads() -> bool:
    """Return whether this kernel has what the guard needs. If not, use whole files only."""
    return sys.platform == "linux" and seccomp.can_watch_reads(ctypes.CDLL(None))


class ReadGuard:
    """Answers the reads of one child, in a thread of its own. A context manager."""

    def __init__(self, file: PartialFile) -> None:
        """Prepare to answer; the child gets `child_socket`."""
        found = file.path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._size_bytes = found.st_size
        self._present = merged(file.present)
        self._starts = [first for first, _ in self._present]
        column = 0 if os.uname().machine == "x86_64" else 1
        self._calls = {numbers[column]: name for name, numbers in seccomp.READS.items()}
        self._socket, self.child_socket = socket.socketpair()
        """The child sends its listener through `child_socket`, before it executes its program."""
        self._ended = threading.Event()
        self._is_read = False
        """Whether a read of the guarded file was seen."""
        self._hole: EncodeError | None = None
        self._unwatched: EncodeError | None = EncodeError(READS_UNWATCHED, "Not all reads of the process were watched.")
        self._thread = threading.Thread(target=self._run, name="read-guard", daemon=True)

    def __enter__(self) -> ReadGuard:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.child_socket.close()

    def raise_if_hole_was_read(self) -> None:
        """Raise EncodeError if the child tried to read what is not present."""
        if self._hole is not None:
            raise self._hole

    def raise_unless_all_was_present(self) -> None:
        """Raise EncodeError unless every read was watched and found present. Call when the child has ended.

        Each child reads the guarded file. If none of its reads was one of that file, the file cannot be
        recognized, as on some file systems in user space, and a hole would not have been noticed.
        """
        self._ended.set()
        self._thread.join()
        if (error := self._hole or self._unwatched) is not None:
            raise error
        if not self._is_read:
            raise EncodeError(READS_UNWATCHED, "None of the process's reads was recognized as one of the source.")

    def _run(self) -> None:
        try:
            # Closing the listener, or the socket in which it is, makes all further reads fail.
            with self._socket, self._listener() as listener:
                self._answer_until_end(listener.fileno())
        except OSError as error:
            text = f"The reads of the process cannot be watched: {error.strerror}."
            self._unwatched = EncodeError(READS_UNWATCHED, text)
        else:
            self._unwatched = None

    def _listener(self) -> IO[bytes]:
        """Return what the child sends, as a file. Raises OSError if it ended before, or this guard did."""
        self._socket.settimeout(_POLL_MS / 1000)
        while not self._ended.is_set():
            with suppress(TimeoutError):
                _, ancillary, _, _ = self._socket.recvmsg(1, socket.CMSG_SPACE(_DESCRIPTOR.size))
                if not ancillary:
                    break
                return open(_DESCRIPTOR.unpack(ancillary[0][2])[0], "rb", buffering=0)  # noqa: PTH123 - a descriptor
        raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def _answer_until_end(self, listener: int) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while not self._ended.is_set():
            for _, event in poll.poll(_POLL_MS):
                if not event & select.POLLIN:
                    return  # the last process has ended
                self._answer(listener)

    def _answer(self, listener: int) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return  # the process was killed meanwhile
            raise
        number, thread, _, call, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        hole = self._missing(thread, self._calls[call], arguments)
        if hole is not None:
            text = f"The process read bytes {hole[0]} to {hole[1]} of the source, which are not all present."
            self._hole = EncodeError(HOLE_READ, text)
        response = _RESPONSE.pack(number, 0, *((0, _CONTINUE) if hole is None else (-errno.EIO, 0)))
        try:
            fcntl.ioctl(listener, _ANSWER, response)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _missing(self, thread: int, call: str, arguments: list[int]) -> ByteRange | None:
        """Return what a call is going to read of the guarded file if not all of it is present."""
        descriptor = arguments[_FILE_ARGUMENTS.get(call, 0)] & 0xFFFFFFFF
        try:
            found = os.stat(f"/proc/{thread}/fd/{descriptor}")  # noqa: PTH116 - thousands of times
            if (found.st_dev, found.st_ino) != self._identity:
                return None
            self._is_read = True
            first, end = 0, self._size_bytes
            if call == "read":
                first = _offset(thread, descriptor)
            elif call == "pread64":
                first = arguments[3]
            if call in ("read", "pread64"):
                end = min(first + arguments[2], self._size_bytes)
        except (FileNotFoundError, ProcessLookupError):
            return None  # a file that is not open, or a thread that has ended
        return None if first >= end or self._is_present(first, end) else (first, end)

    def _is_present(self, first: int, end: int) -> bool:
        at = bisect_right(self._starts, first) - 1
        return at >= 0 and end <= self._present[at][1]


def _offset(thread: int, descriptor: int) -> int:
    """Return a file's offset, the first line of proc_pid_fdinfo(5)."""
    with open(f"/proc/{thread}/fdinfo/{descriptor}", "rb", buffering=0) as file:  # noqa: PTH123 - thousands of times
        return int(file.read(64).split()[1])
