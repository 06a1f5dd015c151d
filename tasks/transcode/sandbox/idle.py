"""Whether a child still makes progress, for children that have no deadline.

Progress is any of: output, bytes read or written, CPU time. Without any, a child is hung only if
all of its threads are asleep. One that waits for a disk (state D of proc(5)), for a processor (R),
or that is stopped (T) is on a slow machine, which is not the file's fault. Its time does not count.
Nor does time in which this process itself did not run, as when the whole machine stood still.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_LOOK_S = 1.0
"""Most time that counts between two looks, which are a quarter of a second apart."""

_ASLEEP = frozenset("SIZX")
"""States of a thread that waits for another thread or process, or has ended."""


class IdleWatch:
    """Counts for how long a child has been asleep without progress."""

    def __init__(self, pid: int, is_excused: Callable[[], bool] = lambda: False) -> None:
        """Watch a child. It does not count as asleep while `is_excused`: if it waits for this process."""
        self.idle_s = 0.0
        self.read_bytes = 0
        """How many bytes the child has read so far."""
        self._is_excused = is_excused
        self._folder = Path(f"/proc/{pid}")
        self._written_bytes = 0
        self._cpu_ticks = 0
        self._looked_at_s = time.monotonic()

    def reset(self) -> None:
        """Note progress that this object cannot see: output."""
        self.idle_s = 0.0

    def look(self) -> None:
        """Compare the child with the last look. Without /proc it never counts as idle."""
        now_s = time.monotonic()
        passed_s, self._looked_at_s = min(now_s - self._looked_at_s, _LONGEST_LOOK_S), now_s
        if self._has_moved() or self._is_excused() or not self._is_asleep():
            self.idle_s = 0.0
        else:
            self.idle_s += passed_s

    def _has_moved(self) -> bool:
        read_bytes, written_bytes = self._transferred()
        cpu_ticks = _cpu_ticks(self._folder)
        moved = (read_bytes, written_bytes, cpu_ticks) != (self.read_bytes, self._written_bytes, self._cpu_ticks)
        self.read_bytes, self._written_bytes, self._cpu_ticks = read_bytes, written_bytes, cpu_ticks
        return moved

    def _transferred(self) -> tuple[int, int]:
        """Return rchar and wchar of proc_pid_io(5); the last values if the child has ended."""
        with suppress(OSError, ValueError, KeyError):
            lines = (self._folder / "io").read_text().splitlines()
            counters = dict(line.split(": ") for line in lines)
            return int(counters["rchar"]), int(counters["wchar"])
        return self.read_bytes, self._written_bytes

    def _is_asleep(self) -> bool:
        states = [fields[0] for folder in self._folder.glob("task/*") if (fields := _stat(folder))]
        return bool(states) and _ASLEEP.issuperset(states)


def _cpu_ticks(folder: Path) -> int:
    """Return the CPU time of all threads: utime and stime of proc_pid_stat(5)."""
    fields = _stat(folder)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _stat(folder: Path) -> list[str]:
    """Return the fields of `stat` from the state on; empty if the process or thread has ended."""
    with suppress(OSError):
        return (folder / "stat").read_text().rpartition(")")[2].split()
    return []
