"""Creates the deliveries of new events: one for the signals, one for each endpoint, and one for mail if it is on."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.states import Channel
from ...models import Delivery, OutboxEvent, Video, WebhookEndpoint
from .to_owners import MAIL_KINDS

_LIMIT = 500
"""Events per transaction. One takes milliseconds."""


def fan_out() -> int:
    """Create the deliveries of new events, oldest first, and return the number of events."""
    total = 0
    while dispatched := _fan_out_page():
        total += dispatched
        if dispatched < _LIMIT:
            break
    return total


@transaction.atomic
def _fan_out_page() -> int:
    """Create the deliveries of a page of events.

    A second tick waits for the rows' locks: if it skipped them, later events of a video could overtake.
    """
    events = list(OutboxEvent.objects.select_for_update().filter(dispatched_at=None).order_by("id")[:_LIMIT])
    endpoints = list(WebhookEndpoint.objects.filter(enabled=True)) if events else []
    Delivery.objects.bulk_create([each for event in events for each in _deliveries(event, endpoints)])
    OutboxEvent.objects.filter(pk__in=[event.pk for event in events]).update(dispatched_at=Now())
    return len(events)


def _deliveries(event: OutboxEvent, endpoints: list[WebhookEndpoint]) -> Iterator[Delivery]:
    yield _delivery(event, Channel.SIGNAL)
    if event.kind in bridge_settings().mail_kinds or _is_wanted(event):
        yield _delivery(event, Channel.MAIL)
    for endpoint in endpoints:
        if event.kind in endpoint.kinds:
            yield _delivery(event, Channel.WEBHOOK, endpoint=endpoint)


def _is_wanted(event: OutboxEvent) -> bool:
    """Return whether the owner of the video has chosen to get a mail about this."""
    if not bridge_settings().mail_choice or event.kind not in MAIL_KINDS:
        return False
    return Video.objects.filter(pk=event.video_id, mail_wanted=True).exists()


def _delivery(event: OutboxEvent, channel: Channel, *, endpoint: WebhookEndpoint | None = None) -> Delivery:
    target = f"{channel.value} {endpoint.pk}" if endpoint else channel.value
    return Delivery(event=event, channel=channel.value, endpoint=endpoint, target=target, video_id=event.video_id)
