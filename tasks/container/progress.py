"""How far the container is: what the heartbeat carries. Several units are in work at once, each in a slot of its own."""

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
class Reading:
    """What one heartbeat says."""

    stage: str
    count: int
    encoded_frames: int


class Progress:
    """Thread-safe progress of all slots. A reading tells of the slot that has been without progress for longest.

    So one hung unit is noticed though its neighbours go on: its (stage, count) stays the same in every reading.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[int, _Slot] = {}
        self._last = Reading(stage="claim", count=0, encoded_frames=0)
        self._finished_frames = 0.0

    def enter(self, slot: int, stage: str) -> None:
        """A slot begins a stage."""
        with self._lock:
            self._slots[slot] = _Slot(stage=stage, count=0, changed_s=time.monotonic())

    def advance(self, slot: int, count: int, *, in_flight_frames: float = 0) -> None:
        """A slot got as far as `count` in its stage (frames, milliseconds or bytes), worth so many frames of the job's progress."""
        with self._lock:
            current = self._slots[slot]
            current.in_flight_frames = max(current.in_flight_frames, in_flight_frames)
            if count != current.count:
                current.count, current.changed_s = count, time.monotonic()

    def reads(self, slot: int, read_bytes: int) -> None:
        """A slot has read so many bytes: it is at work, though its count may stand still, as before the first picture of a late unit."""
        with self._lock:
            current = self._slots[slot]
            if read_bytes != current.read_bytes:
                current.read_bytes, current.changed_s = read_bytes, time.monotonic()

    def leave(self, slot: int, *, finished_frames: float = 0) -> None:
        """A slot has finished its unit, or waits."""
        with self._lock:
            self._slots.pop(slot, None)
            self._finished_frames += finished_frames

    def read(self) -> Reading:
        """The reading for a heartbeat. With no slot at work, the last one stands."""
        with self._lock:
            encoded_frames = int(self._finished_frames + sum(slot.in_flight_frames for slot in self._slots.values()))
            if self._slots:
                slowest = min(self._slots.values(), key=lambda slot: slot.changed_s)
                count = slowest.count + slowest.read_bytes
                self._last = Reading(stage=slowest.stage, count=count, encoded_frames=encoded_frames)
            return Reading(stage=self._last.stage, count=self._last.count, encoded_frames=encoded_frames)
