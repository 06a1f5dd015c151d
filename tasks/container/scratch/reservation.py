"""Reservation of disk space by allocated files, which every process on the machine sees as used.

Two files: the source, of which each range is allocated before it is fetched, and a ballast for the
files of units. The ballast shrinks as those files grow, so the sum stays the same and the free space
on the disk belongs to nobody's reservation.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import math
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ...conf import bridge_settings
from ...services.container_api.scratch import DiskShares
from ...transcode import ByteRanges, StoppedError, merged, missing, total_bytes
from .rule import Disk, Step, next_step

logger = logging.getLogger(__name__)

_MIB = 1024 * 1024
_GIB = 1024**3
AHEAD_BYTES = 32 * _MIB
"""Free space that the ballast leaves for what is written until it is adjusted again. Two slots write
about 10 MB/s with the standard ladder. `scratch_floor_mib` covers this for every container of a
machine."""

_ADJUST_EVERY_S = 0.5
_FEWEST_ADJUSTED_BYTES = _MIB
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 20.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CANNOT_ALLOCATE = frozenset({errno.EOPNOTSUPP, errno.EINVAL})
_PUNCH_HOLE = 0x03
"""FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE."""


class ScratchTooSmallError(Exception):
    """The machine's disk has no room for the source and the files made from it."""

    code = "SCRATCH_TOO_SMALL"


class Reservation:
    """Space that a container has reserved in its folder. A context manager that keeps the ballast adjusted.

    Slots may reserve at the same time: one that waits for room keeps no other from reserving less.
    """

    def __init__(self, folder: Path) -> None:
        """Reserve nothing yet."""
        self._folder = folder
        self._ballast = folder / "ballast"
        self._ballast_bytes = 0
        self._is_reserved = threading.Event()
        """Set once both files are allocated: until then, the ballast is not adjusted."""
        self._allocating = threading.Lock()
        self._allocated: ByteRanges = ()
        """Ranges of the source."""
        self._held_bytes = 0
        self._wanted_bytes = bridge_settings().scratch_reserve_mib * _MIB
        self._floor_bytes = bridge_settings().scratch_floor_mib * _MIB
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_adjusted, name="ballast", daemon=True)

    def __enter__(self) -> Reservation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def reserve(
        self,
        target: Path,
        ranges: ByteRanges,
        *,
        shares: Callable[[int], DiskShares],
        progress: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Allocate these ranges of `target`, and the ballast with the first ones; wait for room if there is none.

        What is allocated already takes no more room. `shares` gets what this container wants now, in
        MiB, and returns what the others of the machine have. `progress` is called with a growing number
        while this waits.

        Raises ScratchTooSmallError if there was no room for too long or the disk is too small, or
        StoppedError.
        """
        conf = bridge_settings()
        started_s = time.monotonic()
        hopeless_since_s: float | None = None
        pauses = 0
        while True:
            # Another slot may have allocated some of it meanwhile.
            size_bytes = total_bytes(missing(ranges, self._allocated))
            if self._is_reserved.is_set() and not size_bytes:
                return
            wanted_bytes = size_bytes + (0 if self._is_reserved.is_set() else self._wanted_bytes)
            needed_bytes = wanted_bytes + self._floor_bytes
            disk = self._disk(shares(-(-wanted_bytes // _MIB)))
            now_s = time.monotonic()
            hopeless_since_s = None if disk.can_fit(wanted_bytes) else (hopeless_since_s or now_s)
            step = next_step(
                disk,
                wanted_bytes,
                waited_s=now_s - started_s,
                hopeless_s=None if hopeless_since_s is None else now_s - hopeless_since_s,
                wait_limit_s=conf.scratch_wait_s,
                hold_s=conf.machine_hold_s,
            )
            if step is Step.LEAVE:
                raise ScratchTooSmallError(_message(size_bytes, needed_bytes, disk, self._folder))
            if step is Step.RESERVE and self._allocate(target, ranges):
                return
            if not pauses:
                extra = {"free_gib": round(disk.free_bytes / _GIB, 1), "needed_gib": round(needed_bytes / _GIB, 1)}
                logger.warning("SCRATCH_WAITING", extra=extra)
            pauses += 1
            progress(pauses)
            # Spread, so that waiting containers do not try to allocate at the same moment.
            if stop.wait(random.uniform(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)):  # noqa: S311 - guards nothing
                raise StoppedError

    @property
    def held_mib(self) -> int:
        """What this container has reserved until now, in MiB."""
        return -(-self._held_bytes // _MIB)

    def _disk(self, shares: DiskShares) -> Disk:
        usage = shutil.disk_usage(self._folder)
        return Disk(
            total_bytes=usage.total,
            free_bytes=usage.free,
            floor_bytes=self._floor_bytes,
            own_bytes=self._held_bytes,
            held_bytes=math.inf if shares.held_mib is None else shares.held_mib * _MIB,
            ahead_bytes=[mib * _MIB for mib in shares.ahead_mib],
        )

    def _allocate(self, target: Path, ranges: ByteRanges) -> bool:
        """Allocate everything. Return False, with nothing of it kept, if another container was faster."""
        with self._allocating:
            ranges = missing(ranges, self._allocated)
            if not self._allocate_missing(target, ranges):
                return False
            self._allocated = merged((*self._allocated, *ranges))
            self._held_bytes += total_bytes(ranges)
            if not self._is_reserved.is_set():
                self._held_bytes += self._wanted_bytes
                self._ballast_bytes = self._wanted_bytes
                self._is_reserved.set()
            return True

    def _allocate_missing(self, target: Path, ranges: ByteRanges) -> bool:
        try:
            _allocate(target, ranges)
            if not self._is_reserved.is_set():
                _allocate(self._ballast, ((0, self._wanted_bytes),))
        except OSError as error:
            if error.errno not in _FULL:
                raise
        else:
            if shutil.disk_usage(self._folder).free >= self._floor_bytes:
                return True
        if self._is_reserved.is_set():
            _release(target, ranges)
        else:
            for path in (target, self._ballast):
                path.unlink(missing_ok=True)
        return False

    def _keep_adjusted(self) -> None:
        while not self._stopped.wait(_ADJUST_EVERY_S):
            self.adjust()

    def adjust(self) -> None:
        """Make the ballast as large as what is left of the reservation. A no-op until `reserve` has returned."""
        if not self._is_reserved.is_set():
            return
        target_bytes = max(0, self._wanted_bytes - AHEAD_BYTES - self._unit_bytes())
        if abs(target_bytes - self._ballast_bytes) < _FEWEST_ADJUSTED_BYTES:
            return
        with suppress(OSError):
            # If there is no room to grow again, the next adjustment tries once more.
            if target_bytes < self._ballast_bytes:
                os.truncate(self._ballast, target_bytes)
            else:
                _allocate(self._ballast, ((0, target_bytes),))
            self._ballast_bytes = target_bytes

    def _unit_bytes(self) -> int:
        """Return the size of all files in the folders of units."""
        total = 0
        for parent, _, names in os.walk(self._folder):
            if parent == str(self._folder):
                continue
            for name in names:
                with suppress(OSError):  # removed meanwhile
                    total += Path(parent, name).stat().st_size
        return total


def _allocate(path: Path, ranges: ByteRanges) -> None:
    """Give these ranges of the file blocks on the disk (posix_fallocate(3)), and the file at least their size.

    A file system that cannot allocate only gets the size. Raises OSError.
    """
    with path.open("ab") as file:
        for first, end in ranges:
            try:
                if first < end:
                    os.posix_fallocate(file.fileno(), first, end - first)
            except OSError as error:
                if error.errno not in _CANNOT_ALLOCATE:
                    raise
                file.truncate(max(end, path.stat().st_size))


def _release(path: Path, ranges: ByteRanges) -> None:
    """Make holes of these ranges (fallocate(2)). A file system without holes keeps the blocks."""
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    with path.open("r+b") as file:
        for first, end in ranges:
            fallocate(file.fileno(), _PUNCH_HOLE, first, end - first)


def _message(size_bytes: int, needed_bytes: int, disk: Disk, folder: Path) -> str:
    return (
        f"The source takes {size_bytes / _GIB:.1f} GiB here, and needs {needed_bytes / _GIB:.1f} GiB with the files made from it"
        f" and a margin, but of the {disk.total_bytes / _GIB:.1f} GiB of the disk at {folder}, only"
        f" {disk.free_bytes / _GIB:.1f} GiB are free, and too little was or will be released. Give machines more scratch"
        " space (scratch_gib in Terraform), or run fewer containers on each."
    )
