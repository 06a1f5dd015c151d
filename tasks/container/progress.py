"""Progress of the container, which the heartbeat reports.

Several units run in parallel, each in its own slot.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(slots=True)
class _Slot:
    stage: str
    count: int
    changed_s: float
    read_bytes: int = 0
    in_flight_frames: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSnapshot:
    """Progress that one heartbeat reports."""

    stage: str
    count: int
    encoded_frames: int


class Progress:
    """Thread-safe progress of all slots.

    A reading reports the slot that has made no progress for longest.

    So one hung unit is noticed although the other slots continue: its (stage, count) stays the same
    in every reading.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[int, _Slot] = {}
        self._last = ProgressSnapshot(stage="claim", count=0, encoded_frames=0)
        self._finished_frames = 0.0

    def start_stage(self, slot: int, stage: str) -> None:
        """Start a stage in a slot."""
        with self._lock:
            self._slots[slot] = _Slot(stage=stage, count=0, changed_s=time.monotonic())

    def advance(self, slot: int, count: int, *, in_flight_frames: float = 0) -> None:
        """Set how far a slot is in its stage (frames, milliseconds or bytes).

        `in_flight_frames` is what its unfinished unit contributes to the job's progress.
        """
        with self._lock:
            current = self._slots[slot]
            current.in_flight_frames = max(current.in_flight_frames, in_flight_frames)
            if count != current.count:
                current.count, current.changed_s = count, time.monotonic()

    def advance_read(self, slot: int, read_bytes: int) -> None:
        """Set how many bytes a slot has read.

        Reading counts as progress while `count` does not change, as before the first frame of a
        late unit.
        """
        with self._lock:
            current = self._slots[slot]
            if read_bytes != current.read_bytes:
                current.read_bytes, current.changed_s = read_bytes, time.monotonic()

    def clear_slot(self, slot: int, *, finished_frames: float = 0) -> None:
        """Remove a slot that has finished its unit or stopped."""
        with self._lock:
            self._slots.pop(slot, None)
            self._finished_frames += finished_frames

    def snapshot(self) -> ProgressSnapshot:
        """Return the reading for a heartbeat.

        If no slot is active, repeat the last stage and count.
        """
        with self._lock:
            encoded_frames = int(self._finished_frames + sum(slot.in_flight_frames for slot in self._slots.values()))
            if self._slots:
                slowest = min(self._slots.values(), key=lambda slot: slot.changed_s)
                count = slowest.count + slowest.read_bytes
                self._last = ProgressSnapshot(stage=slowest.stage, count=count, encoded_frames=encoded_frames)
            return ProgressSnapshot(stage=self._last.stage, count=self._last.count, encoded_frames=encoded_frames)
