"""Expiry of the outbox: events and their deliveries are removed `outbox_retention_s` later, if nothing is due."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.states import DeliveryState
from ...models import Delivery, OutboxEvent

_PAGE_EVENTS = 500


def expire_outbox(*, until_s: float) -> int:
    """Remove expired events until the monotonic clock reaches `until_s`, and return their number.

    One that is not delivered yet stays, and the number of the video's last event does too: numbers are never
    used twice.
    """
    old = Now() - timedelta(seconds=bridge_settings().outbox_retention_s)
    waiting = Delivery.objects.filter(event=OuterRef("pk"), state=DeliveryState.PENDING)
    expired = OutboxEvent.objects.filter(~Exists(waiting), created_at__lt=old, dispatched_at__isnull=False)
    removed = 0
    while time.monotonic() < until_s:
        page = list(expired.order_by("created_at").values_list("pk", flat=True)[:_PAGE_EVENTS])
        OutboxEvent.objects.filter(pk__in=page).delete()
        removed += len(page)
        if len(page) < _PAGE_EVENTS:
            break
    return removed
