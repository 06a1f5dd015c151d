"""Requests with an Idempotency-Key: the first one runs, and each further one gets its response.

A try claims the key's row, which another transaction cannot do at the same time. It either stores its
response, or releases the row after an error, so that a client may repeat the request. What a request
creates has the same id in each try (`target_id`), so a try whose result was lost creates nothing twice.

The header is that of the IETF's draft "The Idempotency-Key HTTP Header Field"
(draft-ietf-httpapi-idempotency-key-header), with its status codes for both errors.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError
from ...models import IdempotencyKey
from ...webhooks.encryption import UnreadableSecretError, decrypt, encrypt

_RUNNING_LIMIT = timedelta(minutes=10)
"""Time after which a try that has stored nothing counts as killed. If it is not, the same `target_id` keeps
both from creating twice."""


class KeyReusedError(ConflictError):
    """The key was used for another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class KeyInProgressError(ConflictError):
    """A request with this key is running."""

    code = "IDEMPOTENCY_KEY_IN_PROGRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response to be sent again. `body` is what its JSON contains."""

    status_code: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClaim:
    """One try of a request; `stored` is the response of an earlier one, and then nothing is to be done."""

    row_id: uuid.UUID
    claim_id: uuid.UUID
    target_id: uuid.UUID
    stored: StoredResponse | None = None


@transaction.atomic
def claim_key(*, owner: Any, key: str, request_hash: str) -> KeyClaim:
    """Claim the key for a try of this request. Raises KeyReusedError or KeyInProgressError."""
    new = IdempotencyKey(owner=owner, key=key, request_hash=request_hash, claimed_at=Now())
    # Waits for another transaction that inserts the same key.
    IdempotencyKey.objects.bulk_create([new], ignore_conflicts=True)
    row = IdempotencyKey.objects.select_for_update(of=("self",)).filter(owner=owner, key=key).first()
    if row is None:
        raise _in_progress()  # it expired just now
    if row.request_hash != request_hash:
        message = gettext("This Idempotency-Key was used for another request. Use a new one for each.")
        raise KeyReusedError(message)
    if row.pk == new.pk:
        return KeyClaim(row_id=row.pk, claim_id=row.claim_id, target_id=row.target_id)
    if row.status_code is not None:
        return KeyClaim(
            row_id=row.pk, claim_id=row.claim_id, target_id=row.target_id, stored=_stored(row.status_code, row.response)
        )
    free = IdempotencyKey.objects.filter(pk=row.pk)
    if row.claimed_at is not None and not free.filter(claimed_at__lt=Now() - _RUNNING_LIMIT).exists():
        raise _in_progress()
    claim_id = uuid.uuid4()
    free.update(claim_id=claim_id, claimed_at=Now())
    return KeyClaim(row_id=row.pk, claim_id=claim_id, target_id=row.target_id)


def store_response(claim: KeyClaim, response: StoredResponse) -> None:
    """Store the response of this try. Raises KeyInProgressError if another try has taken the key over."""
    text = encrypt(json.dumps({"headers": response.headers, "body": response.body}))
    written = _claimed(claim).update(status_code=response.status_code, response=text, claimed_at=None)
    if not written:
        raise _in_progress()


def release_key(claim: KeyClaim) -> None:
    """Let the request be tried again: this try has stored nothing."""
    _claimed(claim).filter(status_code=None).update(claimed_at=None)


def expire_keys(*, limit: int) -> int:
    """Remove keys older than `api_idempotency_retention_s`, and return their number."""
    old = Now() - timedelta(seconds=bridge_settings().api_idempotency_retention_s)
    expired = IdempotencyKey.objects.filter(created_at__lt=old).order_by("created_at").values_list("pk", flat=True)
    removed, _ = IdempotencyKey.objects.filter(pk__in=list(expired[:limit])).delete()
    return removed


def _claimed(claim: KeyClaim) -> Any:
    return IdempotencyKey.objects.filter(pk=claim.row_id, claim_id=claim.claim_id, claimed_at__isnull=False)


def _stored(status_code: int, text: str) -> StoredResponse:
    try:
        found = json.loads(decrypt(text))
    except UnreadableSecretError as error:
        message = gettext(
            "The request with this Idempotency-Key has succeeded, but its response can no longer be read."
        )
        raise KeyReusedError(message) from error
    return StoredResponse(status_code=status_code, headers=found["headers"], body=found["body"])


def _in_progress() -> KeyInProgressError:
    message = gettext("A request with this Idempotency-Key is running. Repeat it in a few seconds.")
    return KeyInProgressError(message)
