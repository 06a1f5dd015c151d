"""The log line about the walls around ffmpeg on this machine."""

from __future__ import annotations

import logging
from dataclasses import asdict

from ..transcode import EncodeError, landlock_abi, try_walls

logger = logging.getLogger(__name__)


def log_walls() -> None:
    """Log SANDBOX once: what a child got that tried to break out, and the walls that do not hold.

    A missing wall is no reason to stop: the others still hold, and `doctor --from-batch` has the fix.
    """
    try:
        walls = try_walls()
    except (EncodeError, OSError) as error:
        logger.warning("SANDBOX", extra={"text": f"The walls could not be tried: {error}"})
        return
    level = logging.WARNING if walls.breaches else logging.INFO
    logger.log(
        level, "SANDBOX", extra={**asdict(walls), "breaches": list(walls.breaches), "landlock_abi": landlock_abi()}
    )
