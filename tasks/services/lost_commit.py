"""A COMMIT whose answer was lost may have taken effect: what was stored beside the row must stay then."""

from __future__ import annotations

from django.db import DatabaseError, connection

from tasks.models import Video


def may_be_committed(video: Video) -> bool:
    """Whether the video's row is there, though saving it raised an error; also True where the database cannot be asked."""
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return Video.objects.filter(pk=video.pk).exists()
    except DatabaseError:
        return True
