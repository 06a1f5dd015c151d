"""The machine on which the container runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""proc_sys_kernel(5). The kernel is the machine's, so all of its containers read the same id."""


def machine_id() -> str:
    """Return an id that all containers of this machine share, or an empty string if there is none."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
