"""The identity of the machine on which this container runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""random(4): drawn when the kernel starts; containers share their machine's kernel."""


def machine_id() -> str:
    """Return an id that all containers of this machine share until it restarts; "" if there is none."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
