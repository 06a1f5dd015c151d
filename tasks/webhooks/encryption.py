"""Encryption of the secrets in the database, with a key that is derived from Django's SECRET_KEY.

A copy of the database alone shows none of them. After SECRET_KEY was replaced, SECRET_KEY_FALLBACKS
decrypts them.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

_SALT = "batchreel.webhooks"


class UnreadableSecretError(Exception):
    """The secret was encrypted with a SECRET_KEY that this process does not have."""


def encrypt(secret: str) -> str:
    """Return the encrypted secret."""
    return _keys().encrypt(secret.encode()).decode()


def decrypt(stored: str) -> str:
    """Return the secret. Raises UnreadableSecretError."""
    try:
        return _keys().decrypt(stored.encode()).decode()
    except InvalidToken as error:
        message = "SECRET_KEY was replaced: put the old one into SECRET_KEY_FALLBACKS, or replace the secret"
        raise UnreadableSecretError(message) from error


def _keys() -> MultiFernet:
    return MultiFernet(
        [
            Fernet(base64.urlsafe_b64encode(salted_hmac(_SALT, "", secret=key, algorithm="sha256").digest()))
            for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        ]
    )
