"""Detection of out-of-memory kills.

The kernel kills the largest process, which is ffmpeg, and the container only sees that it was
killed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Counters of cgroup v2 (Linux, "Control Group v2", memory.events) and v1. In a container, they are
the container's own."""


def oom_kills() -> int:
    """Return the number of out-of-memory kills in this container, or 0 if the kernel provides no counter."""
    for counter in _COUNTERS:
        with suppress(OSError):
            lines = dict(line.split(maxsplit=1) for line in counter.read_text().splitlines() if " " in line)
            return int(lines.get("oom_kill", 0))
    return 0
