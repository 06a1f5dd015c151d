"""How far people have watched a video, kept for them on sites with `keep_watch_positions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models.functions import Now
from django.utils.translation import gettext

from ...lifecycle.errors import BatchreelError
from ...models import WatchPosition

if TYPE_CHECKING:
    from ...models import Video

MIN_S = 10
"""Seconds from the beginning that are not worth a position: nobody misses them."""

MAX_PART = 0.98
"""Part of a video after which it counts as watched: the last minute of an hour is thanks and applause."""


class PositionError(BatchreelError):
    """What was sent is not a position in a video."""

    code = "INVALID_POSITION"


def keep_position(*, user: Any, video: Video, sent: str) -> None:
    """Keep the position that was sent, in seconds from the beginning; forget it near the beginning and the end.

    A video that is still being made has no end yet. Raises PositionError if it is no number of seconds.
    """
    try:
        position_s = float(sent)
    except ValueError:
        position_s = -1.0
    if not 0 <= position_s < float("inf"):
        message = gettext("The position must be a number of seconds from the beginning.")
        raise PositionError(message)
    job = video.published_job
    is_over = job is not None and job.duration_s is not None and position_s > MAX_PART * job.duration_s
    if position_s < MIN_S or is_over:
        WatchPosition.objects.filter(user=user, video=video).delete()
        return
    WatchPosition.objects.bulk_create(
        [WatchPosition(user=user, video=video, position_s=position_s, updated_at=Now())],
        update_conflicts=True,
        unique_fields=["user", "video"],
        update_fields=["position_s", "updated_at"],
    )
