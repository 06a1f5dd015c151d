"""Delivery to the host site's own code: Django signals."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.utils.translation import override

from ... import signals
from ...lifecycle.states import Channel, OutboxKind
from ...models import Delivery, Video
from .due import claimed, record

logger = logging.getLogger(__name__)

SIGNALS = {
    OutboxKind.PLAYABLE.value: signals.video_playable,
    OutboxKind.PUBLISHED.value: signals.video_published,
    OutboxKind.FAILED.value: signals.video_failed,
    OutboxKind.DELETED.value: signals.video_deleted,
}

_PAGE = 200


def send_signals(*, until_s: float) -> int:
    """Send due signals until the monotonic clock reaches `until_s`, and return their number."""
    sent = 0
    for delivery in claimed(Channel.SIGNAL, page=_PAGE, until_s=until_s):
        _send(delivery)
        sent += 1
    return sent


def _send(delivery: Delivery) -> None:
    """Call all receivers, and record the errors of those that raised.

    They run outside of a transaction: one that fails in the database affects no other.
    """
    started_s, event = time.monotonic(), delivery.event
    with override(settings.LANGUAGE_CODE):  # ticks run in English, and receivers may write to people
        responses = SIGNALS[event.kind].send_robust(
            Video, video_id=event.video_id, event_id=event.event_id, payload=event.payload
        )
    problems = []
    for receiver, response in responses:
        if isinstance(response, Exception):
            name = getattr(receiver, "__qualname__", type(receiver).__name__)
            problems.append(f"{name}: {type(response).__name__}: {response}")
            logger.warning("SIGNAL_RECEIVER_FAILED %s", problems[-1], exc_info=response)
    record(delivery, error="; ".join(problems), duration_s=time.monotonic() - started_s)
