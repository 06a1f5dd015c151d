"""Whether memory ran out: the kernel then ends the largest process, which is ffmpeg, and the container only sees that it was killed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Linux, "Control Group v2", memory.events; and the file of v1. In a container both are the container's own."""


def oom_kills() -> int:
    """How many processes of this container the kernel has ended because memory ran out; 0 where it does not tell."""
    for counter in _COUNTERS:
        with suppress(OSError):
            lines = dict(line.split(maxsplit=1) for line in counter.read_text().splitlines() if " " in line)
            return int(lines.get("oom_kill", 0))
    return 0
