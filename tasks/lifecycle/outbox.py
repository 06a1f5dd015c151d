"""What a site reports to the outside of a video: kinds of events, and when a failed delivery is tried again. Pure."""

from __future__ import annotations

import enum
import random


class OutboxKind(enum.StrEnum):
    """Kind of an event in the outbox. The values are public: webhooks carry them as `type`."""

    PLAYABLE = "video.playable"
    """The uploaded file can be watched for the first time, at least its beginning. Once per uploaded file."""
    PUBLISHED = "video.published"
    FAILED = "video.failed"
    DELETED = "video.deleted"


class DeliveryState(enum.StrEnum):
    """State of one event's delivery to one receiver."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"


class Channel(enum.StrEnum):
    """Way on which events leave the site."""

    SIGNAL = "signal"
    MAIL = "mail"
    WEBHOOK = "webhook"


PAYLOAD_VERSION = 1
"""Version of the payloads. New members do not change it; it rises if one is removed or changes its meaning."""

FIRST_RETRY_S = 5.0
RETRY_FACTOR = 3.0
LAST_RETRY_S = 7200.0
"""Seconds before the first retry, the factor for each further one, and the longest delay. The schedule that the
Standard Webhooks specification recommends has the same shape: seconds, then minutes, then hours."""


def retry_delay_s(tries: int, *, dice: random.Random | None = None) -> float:
    """Return the seconds until a delivery that has failed `tries` times is tried again.

    5 s, 15 s, 45 s, 135 s and so on up to two hours, and up to a tenth more, so that deliveries which failed
    together do not return together.
    """
    delay_s = min(FIRST_RETRY_S * RETRY_FACTOR ** min(tries - 1, 20), LAST_RETRY_S)
    return delay_s * (1 + 0.1 * (dice or random).random())
