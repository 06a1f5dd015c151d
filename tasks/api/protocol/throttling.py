"""The limit of requests of one user, counted in Django's default cache."""

from __future__ import annotations

import logging
from typing import Any

from rest_framework.throttling import SimpleRateThrottle

from ...conf import bridge_settings

logger = logging.getLogger(__name__)


class PerUser(SimpleRateThrottle):
    """`api_throttle_per_minute` requests of one user. People who are not signed in are refused before."""

    def get_rate(self) -> str | None:
        """Return the rate in DRF's format, or None for no limit."""
        number = bridge_settings().api_throttle_per_minute
        return f"{number}/min" if number else None

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        """Return the key of the user's requests."""
        return f"batchreel_api_{request.user.pk}" if request.user.is_authenticated else None

    def allow_request(self, request: Any, view: Any) -> bool:
        """Return whether the request is within the limit. It also is while the cache is unavailable."""
        try:
            return bool(super().allow_request(request, view))
        except Exception as error:  # noqa: BLE001 - each cache raises its own errors, and it is no part of a request
            logger.warning("API_THROTTLE_OFF %s", error)
            return True
