"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks.webhooks import Webhook

SECRET_BYTES = 32
"""The specification asks for 24 to 64 random bytes."""

PREFIX = "whsec_"


def new_secret() -> str:
    """Return a random secret in the specification's form."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(*, message_id: str, at: datetime, body: str, signing_secrets: Sequence[str]) -> dict[str, str]:
    """Return the three headers. With several secrets there are several signatures, and a receiver needs one.

    Raises ValueError unless `at` is in UTC: the library takes the digits of any other zone for UTC (measured
    with 1.1.0), and the signature would not match the timestamp.
    """
    if at.utcoffset() != timedelta(0):
        message = "the time of a signature has to be in UTC"
        raise ValueError(message)
    at = at.astimezone(UTC)
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in signing_secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
