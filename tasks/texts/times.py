"""Times in the zone of the site's reader."""

from __future__ import annotations

from datetime import datetime

from django.utils.timezone import is_naive, localtime


def local(at: datetime) -> datetime:
    """Return the time in the current zone. Without USE_TZ, a site's times have no zone and are local already."""
    return at if is_naive(at) else localtime(at)
