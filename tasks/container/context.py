"""State that all units of one container share: claim, local folder, source, plan, progress and stop event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..services.container_api.claim import Claim, Lease
from ..services.container_api.publish import read_plan
from ..services.container_api.scratch import record_scratch, wait_for_scratch
from ..transcode import ByteRanges, Plan, StoppedError
from .database import Database
from .progress import Progress
from .scratch.reservation import Reservation
from .scratch.source import ArrivingSource, LocalSource, SourceCopy

STALE_PLAN = frozenset({"ENGINE_CHANGED", "PLAN_VERSION"})
"""Error codes of the media engine for a plan of another engine version: there was a deployment between two attempts."""


@dataclass
class ContainerContext:
    """Shared state of one container. Its methods are called from all slots."""

    claim: Claim
    folder: Path
    database: Database
    reservation: Reservation
    progress: Progress
    stop: threading.Event
    _copy: SourceCopy = field(init=False)
    _plan: tuple[int, Plan] | None = field(default=None, init=False)
    """The plan that was read last, with its fence."""
    _plan_lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Fetch nothing yet."""
        self._copy = SourceCopy(self.claim.source_name, self.folder)

    def source(self, slot: int, wanted: ByteRanges | None = None, *, size_bytes: int | None = None) -> LocalSource:
        """Return the source as a local file with at least these byte ranges, or all of it for None.

        The slots share one file, and each byte of it is fetched once. `size_bytes` is the size of the
        file for which the ranges were computed.
        """
        self.progress.start_stage(slot, "fetch")
        return self._copy.fetch(
            wanted,
            size_bytes=size_bytes,
            reserve=partial(self._reserve, slot),
            progress=partial(self.progress.advance, slot),
            stop=self.stop,
        )

    @contextmanager
    def arriving_source(self, slot: int) -> Iterator[ArrivingSource]:
        """Yield the source as a local file while all of it is fetched, and return once it is present."""
        self.progress.start_stage(slot, "fetch")
        reserve, progress = partial(self._reserve, slot), partial(self.progress.advance, slot)
        with self._copy.arriving(reserve=reserve, progress=progress, stop=self.stop) as source:
            yield source

    def _reserve(self, slot: int, path: Path, ranges: ByteRanges) -> None:
        self.progress.start_stage(slot, "reserve")
        self.reservation.reserve(
            path,
            ranges,
            shares=lambda mib: self.database(partial(wait_for_scratch, self.claim, scratch_mib=mib)),
            progress=partial(self.progress.advance, slot),
            stop=self.stop,
        )
        # First here, or a heartbeat would set the stage back.
        self.progress.start_stage(slot, "fetch")
        self.database(partial(record_scratch, self.claim, scratch_mib=self.reservation.held_mib))

    def plan(self, lease: Lease) -> Plan:
        """Return the plan that the unit is part of, which is read once.

        If the job is planned again while this reads it, that is the next plan; finishing the unit
        then raises FencedError, because it no longer exists.
        """
        with self._plan_lock:
            if self._plan is None or self._plan[0] != lease.plan_fence:
                form = self.database(partial(read_plan, self.claim.job_id))
                self._plan = (lease.plan_fence, Plan.from_json(form))
            return self._plan[1]

    def media_progress(self, slot: int, lease: Lease, total: int) -> Callable[[int], None]:
        """Return a callback that converts a unit's own count (of `total`) into its share of the job's progress."""

        def report(count: int) -> None:
            share = min(1.0, count / max(1, total))
            self.progress.advance(slot, count, in_flight_frames=share * lease.weight_frames)

        return report

    def raise_if_stopped(self) -> None:
        """Raise StoppedError if the stop event is set."""
        if self.stop.is_set():
            raise StoppedError
