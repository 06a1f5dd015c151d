"""Outbox check: whether events reach their receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Count, Min, Q

from ..lifecycle.states import DeliveryState
from ..models import Delivery, OutboxEvent, WebhookEndpoint
from ..services.delivery.endpoints import signing_secrets
from ..webhooks.encryption import UnreadableSecretError
from .finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .finding import Finding

LATE_S = 600
"""Seconds after which an undelivered event is reported: a receiver that was down for a moment has it by then."""


def check_outbox() -> Iterator[Finding]:
    """Yield a finding for the outbox, and one for each endpoint that does not get its webhooks."""
    try:
        yield _events()
        yield from _endpoints()
    finally:
        connection.close()


def _events() -> Finding:
    waiting = Delivery.objects.filter(Q(endpoint=None) | Q(endpoint__enabled=True), state=DeliveryState.PENDING)
    late = waiting.aggregate(each=Count("pk"), since=Min("event__created_at"))
    new = OutboxEvent.objects.filter(dispatched_at=None).aggregate(each=Count("pk"), since=Min("created_at"))
    oldest = min(filter(None, (late["since"], new["since"])), default=None)
    count = late["each"] + new["each"]
    age_s = _age_s(oldest) if oldest else 0.0
    if age_s > LATE_S:
        return warning(
            "outbox",
            f"{count} deliveries are not made yet, the oldest for {age_s / 60:.0f} min.",
            fix="In the admin, Deliveries has the error of each one's last try. If none was tried: the tick deliver.",
        )
    return ok("outbox", f"{count} deliveries are due or on their way." if count else "All events are delivered.")


def _age_s(since: datetime) -> float:
    """Return the age by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(epoch FROM now() - %s)::float", [since])
        return float(cursor.fetchone()[0])


def _endpoints() -> Iterator[Finding]:
    for endpoint in WebhookEndpoint.objects.all():
        part = f"webhook {endpoint.pk}"
        if not endpoint.enabled and endpoint.disabled_at:
            yield warning(
                part,
                f"{endpoint.url} was disabled: {endpoint.disabled_reason}",
                fix="Repair the receiver, then enable the endpoint in the admin.",
            )
            continue
        try:
            signing_secrets(endpoint)
        except UnreadableSecretError as error:
            yield failed(
                part,
                f"The secret of {endpoint.url} cannot be decrypted: {error}.",
                fix="Set SECRET_KEY_FALLBACKS, or replace the secret in the admin.",
            )
