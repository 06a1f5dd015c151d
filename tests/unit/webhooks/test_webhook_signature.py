"""Signatures are those of the Standard Webhooks specification, and secrets are never stored in plain text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tasks.webhooks.encryption import UnreadableSecretError, decrypt, encrypt
from tasks.webhooks.signature import new_secret, signed_headers


def test_signature_equals_the_specifications_when_its_example_is_signed() -> None:
    # Published with the specification's reference implementations.
    headers = signed_headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        body='{"test": 2432232314}',
        signing_secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("at", [datetime.now(timezone(timedelta(hours=2))), datetime(2026, 1, 1)])  # noqa: DTZ001 - a naive one
def test_signing_is_refused_when_the_time_is_not_in_utc(at: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        signed_headers(message_id="1", at=at, body="{}", signing_secrets=[new_secret()])


def test_old_and_new_receiver_accept_the_webhook_when_the_secret_was_replaced() -> None:
    new, old = new_secret(), new_secret()
    headers = signed_headers(message_id="1", at=datetime.now(UTC), body='{"a":1}', signing_secrets=[new, old])
    assert Webhook(new).verify('{"a":1}', headers) == Webhook(old).verify('{"a":1}', headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify('{"a":1}', headers)


def test_secret_is_readable_only_with_the_sites_key_when_it_is_stored(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "first", []
    secret = new_secret()
    stored = encrypt(secret)
    assert secret not in stored
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert decrypt(stored) == secret
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(UnreadableSecretError):
        decrypt(stored)
