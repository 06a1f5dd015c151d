"""The machine on which the container runs: its id, and what a container does if it may be at fault."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path

from ..conf import bridge_settings
from ..lifecycle.reasons import HELD, Reason

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""proc_sys_kernel(5). The kernel is the machine's, so all of its containers read the same id."""

_LOOK_S = 0.2


def machine_id() -> str:
    """Return an id that all containers of this machine share, or an empty string if there is none."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


def hold_place(reason: Reason | None, text: str, *, shutting_down: threading.Event) -> None:
    """Keep the place on the machine for `machine_hold_s`, or until SIGTERM, if it may be at fault for this end.

    AWS Batch places the next job wherever there is room. A machine that fails each of them within
    seconds would draw the whole queue, while healthy machines are busy for hours. The result is in
    the attempt's row before, so the job continues elsewhere meanwhile.
    """
    hold_s = bridge_settings().machine_hold_s
    if reason not in HELD or not hold_s:
        return
    logger.warning("MACHINE_HELD", extra={"reason": str(reason), "text": text, "hold_s": hold_s})
    until_s = time.monotonic() + hold_s
    # Not Event.wait: the signal handler runs in this thread, and sets the event under a lock that wait may hold.
    while not shutting_down.is_set() and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
