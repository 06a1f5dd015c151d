"""Measurement of one program run: the cost of the program and all its descendants."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POLL_S = 0.1
_KIB = 1024


@dataclass(frozen=True)
class Cost:
    """The cost of one program, or of several run one after the other."""

    cpu_s: float
    """User and system time, including descendants."""
    wall_s: float
    own_peak_mib: float
    """Largest resident set of the programs themselves."""
    child_peak_mib: float
    """Largest resident set of any single descendant; 0 without descendants."""

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of both, run one after the other."""
        return Cost(
            self.cpu_s + other.cpu_s,
            self.wall_s + other.wall_s,
            max(self.own_peak_mib, other.own_peak_mib),
            max(self.child_peak_mib, other.child_peak_mib),
        )


def run_measured(command: Sequence[str], *, folder: Path, log: Path) -> Cost:
    """Run `command` in `folder`, with its output in `log`.

    Raises RuntimeError with the last lines if it fails.
    """
    began = time.monotonic()
    with log.open("wb") as output:
        program = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        memory = _Memory(program.pid)
        try:
            with memory:
                # Unlike subprocess, wait4 returns the resource usage of the program and of the
                # descendants that it waited for.
                _, status, usage = os.wait4(program.pid, 0)
            program.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if program.returncode is None:
                program.terminate()
                program.wait()
    if program.returncode != 0:
        last_lines = log.read_text(errors="replace").strip().splitlines()[-5:]
        message = f"{command[0]} failed with exit code {program.returncode}:\n" + "\n".join(last_lines)
        raise RuntimeError(message)
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - began, memory.own_mib, memory.child_mib)


class _Memory:
    """Sampler of the peak memory of a process and its descendants.

    Linux only; elsewhere it reports 0.
    """

    def __init__(self, process_id: int) -> None:
        self.own_mib = self.child_mib = 0.0
        self._process_id = process_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_S):
            self.own_mib = max(self.own_mib, _peak_mib(self._process_id))
            peaks = [_peak_mib(child) for child in _descendants(self._process_id)]
            self.child_mib = max([self.child_mib, *peaks])


def _descendants(process_id: int) -> Iterator[int]:
    for thread in Path(f"/proc/{process_id}/task").glob("*/children"):
        for child in _read(thread).split():
            yield int(child)
            yield from _descendants(int(child))


def _peak_mib(process_id: int) -> float:
    for line in _read(Path(f"/proc/{process_id}/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / _KIB
    return 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        # The process has ended in the meantime.
        return ""
