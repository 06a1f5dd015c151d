"""Due deliveries: which ones come next, the claim of a try, and what follows from how it ended.

A try is claimed before it starts, and recorded after it has ended, each by one UPDATE. If the process is killed
in between, the claim ends after `_HOLD_S`, and the event is delivered again with the same id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Q, Window
from django.db.models.functions import Coalesce, Now, RowNumber

from ...conf import bridge_settings
from ...lifecycle.retry import retry_delay_s
from ...lifecycle.states import Channel, DeliveryState
from ...models import Delivery

logger = logging.getLogger(__name__)

_HOLD_S = 60
"""Seconds for which a claimed delivery is not due: longer than a tick can last."""


def due(channel: Channel, *, limit: int, exclude: set[int] | None = None) -> list[Delivery]:
    """Return deliveries to try now, with their events, in turns between endpoints.

    A delivery waits for those of the video's earlier events to the same receiver, until they are delivered or
    given up. `exclude` are ids of endpoints.
    """
    earlier = Delivery.objects.filter(
        target=OuterRef("target"),
        video_id=OuterRef("video_id"),
        event__lt=OuterRef("event"),
        state=DeliveryState.PENDING,
        again=False,
    )
    waiting = Delivery.objects.filter(
        Q(endpoint=None) | Q(endpoint__enabled=True),
        Q(again=True) | ~Exists(earlier),
        channel=channel.value,
        state=DeliveryState.PENDING,
        next_try_at__lte=Now(),
    )
    if exclude:
        waiting = waiting.exclude(endpoint__in=exclude)
    place = Window(RowNumber(), partition_by=F("target"), order_by=[F("next_try_at"), F("id")])
    return list(waiting.annotate(place=place).order_by("place", "id").select_related("event", "endpoint")[:limit])


def claim(delivery: Delivery) -> bool:
    """Begin a try of the delivery. Return False if it is no longer due, because another process has it."""
    conf = bridge_settings()
    claimed = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, tries=delivery.tries).update(
        tries=F("tries") + 1,
        next_try_at=Now() + timedelta(seconds=_HOLD_S),
        give_up_at=Coalesce(F("give_up_at"), Now() + timedelta(seconds=conf.delivery_retry_s)),
    )
    delivery.tries += claimed
    return bool(claimed)


def claimed(channel: Channel, *, page: int, until_s: float) -> Iterator[Delivery]:
    """Yield due deliveries, each claimed, until none is due or the monotonic clock reaches `until_s`."""
    while found := due(channel, limit=page):
        for delivery in found:
            if time.monotonic() >= until_s:
                return
            if claim(delivery):
                yield delivery


def record(
    delivery: Delivery,
    *,
    error: str = "",
    status_code: int | None = None,
    duration_s: float | None = None,
    response: str = "",
    least_delay_s: float = 0.0,
) -> bool:
    """Record how the claimed try ended, and return whether another one follows.

    A failed delivery is tried again after at least `least_delay_s`, unless it was first tried
    `delivery_retry_s` ago: then it is given up.
    """
    mine = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, tries=delivery.tries)
    last = {
        # On one line, without what PostgreSQL cannot store.
        "error": " ".join(error.replace("\0", " ").split())[:300],
        "status_code": status_code,
        "duration_s": duration_s,
        "response": response[:500],
    }
    over = {"next_try_at": None, "ended_at": Now()}
    if not error:
        mine.update(state=DeliveryState.DELIVERED, **over, **last)
        return False
    delay_s = max(retry_delay_s(delivery.tries), least_delay_s)
    in_vain = mine.filter(give_up_at__lte=Now() + timedelta(seconds=delay_s))
    if in_vain.update(state=DeliveryState.GIVEN_UP, **over, **last):
        logger.error("DELIVERY_GIVEN_UP %s of event %s: %s", delivery.target, delivery.event.event_id, error)
        return False
    mine.update(next_try_at=Now() + timedelta(seconds=delay_s), **last)
    return True


def give_up_disabled() -> int:
    """Give up what has waited for a disabled endpoint for `delivery_retry_s`. Return the number of deliveries."""
    old = Now() - timedelta(seconds=bridge_settings().delivery_retry_s)
    waiting = Delivery.objects.filter(state=DeliveryState.PENDING, endpoint__enabled=False, created_at__lt=old)
    return waiting.update(
        state=DeliveryState.GIVEN_UP, next_try_at=None, ended_at=Now(), error="DISABLED the endpoint is disabled"
    )
