"""Endpoints of webhooks: their secrets, whether they work, and sending an event again."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from ...conf import bridge_settings
from ...lifecycle.errors import NotFoundError
from ...lifecycle.states import DeliveryState
from ...models import Delivery, WebhookEndpoint
from ...webhooks.encryption import decrypt, encrypt
from ...webhooks.signature import new_secret
from ..state.transition import append_event

logger = logging.getLogger(__name__)

MIN_FAILURES = 20
"""Failures in a row without which no endpoint is disabled, however old the first is: with few events, days pass
between two tries. A single delivery has that many within its day."""


def add_endpoint(columns: dict[str, Any]) -> WebhookEndpoint:
    """Add an endpoint with what a person entered, and give it its secret."""
    endpoint = WebhookEndpoint(**columns)
    give_first_secret(endpoint)
    endpoint.save()
    endpoint.refresh_from_db()
    return endpoint


def change_endpoint(endpoint_id: Any, columns: dict[str, Any]) -> None:
    """Change what a person entered. One that is enabled again gets a new count of failures."""
    if columns.get("enabled"):
        columns = columns | {"failures": 0, "failing_since": None, "disabled_at": None, "disabled_reason": ""}
    # Not all columns: a tick may have replaced or removed a secret since the person saw them.
    if columns:
        WebhookEndpoint.objects.filter(pk=endpoint_id).update(**columns)


def give_first_secret(endpoint: WebhookEndpoint) -> None:
    """Give an endpoint that is not saved yet its secret."""
    endpoint.secret = encrypt(new_secret())


@transaction.atomic
def replace_secret(*, endpoint_id: Any) -> str:
    """Give the endpoint a new secret, and return it. The old one stays valid for `webhook_old_secret_s`.

    Raises NotFoundError.
    """
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
    if endpoint is None:
        message = f"no endpoint {endpoint_id}"
        raise NotFoundError(message)
    secret = new_secret()
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        secret=encrypt(secret),
        old_secret=endpoint.secret,
        old_secret_until=Now() + timedelta(seconds=bridge_settings().webhook_old_secret_s),
    )
    return secret


def forget_old_secrets() -> None:
    """Remove the old secrets that are no longer valid."""
    old = WebhookEndpoint.objects.filter(old_secret_until__lte=Now())
    old.update(old_secret="", old_secret_until=None)


def signing_secrets(endpoint: WebhookEndpoint) -> list[str]:
    """Return the endpoint's valid secrets, the newest first. Raises UnreadableSecretError."""
    return [decrypt(each) for each in (endpoint.secret, endpoint.old_secret) if each]


def note_success(endpoint_id: int) -> None:
    """Record that the endpoint accepted an event."""
    failing = WebhookEndpoint.objects.filter(pk=endpoint_id).exclude(failures=0)
    failing.update(failing_since=None, failures=0)


@transaction.atomic
def note_failure(endpoint_id: int, *, error: str, is_gone: bool) -> None:
    """Record that a webhook failed, and disable an endpoint that is gone or has failed for too long."""
    endpoint = WebhookEndpoint.objects.filter(pk=endpoint_id)
    endpoint.update(failures=F("failures") + 1, failing_since=Coalesce(F("failing_since"), Now()))
    long_ago = Now() - timedelta(seconds=bridge_settings().webhook_disable_after_s)
    for_too_long = Q(failing_since__lte=long_ago, failures__gte=MIN_FAILURES)
    failed = endpoint.filter(enabled=True) if is_gone else endpoint.filter(for_too_long, enabled=True)
    if failed.update(enabled=False, disabled_at=Now(), disabled_reason=error[:200]):
        append_event("webhook.disabled", text=f"endpoint {endpoint_id}: {error}")
        transaction.on_commit(lambda: logger.error("WEBHOOK_DISABLED endpoint %s: %s", endpoint_id, error))


def send_again(*, delivery_id: int) -> bool:
    """Deliver the event again, at once and outside of the order. Return False if the delivery has not ended."""
    ended = Delivery.objects.filter(pk=delivery_id).exclude(state=DeliveryState.PENDING)
    return bool(
        ended.update(
            state=DeliveryState.PENDING, again=True, tries=0, next_try_at=Now(), give_up_at=None, ended_at=None
        )
    )
