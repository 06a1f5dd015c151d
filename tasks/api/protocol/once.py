"""Idempotency-Key: a POST that creates something may be repeated until its response has arrived."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import get_language, gettext
from rest_framework import serializers
from rest_framework.response import Response

from ...services.requests.idempotency import StoredResponse, claim_key, release_key, store_response
from .bodies import Json

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("ETag", "Location", "Cache-Control")


def once(request: Any, create: Callable[[uuid.UUID], Response], *, in_one_transaction: bool = False) -> Response:
    """Return the response of `create`, or that of an earlier request with the same key, which then created it.

    `create` gets the id that it should give to what it creates, which is the same in each try. If it only
    changes rows, `in_one_transaction` stores the response in the same transaction. Errors are not stored.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return create(uuid.uuid4())
    if not _KEY.fullmatch(key):
        message = gettext("A key has 1 to 255 visible ASCII characters.")
        raise serializers.ValidationError({HEADER: message})
    claim = claim_key(owner=request.user, key=key, request_hash=_hash_of(request))
    if claim.stored is not None:
        return _repeated(claim.stored)
    try:
        with transaction.atomic() if in_one_transaction else nullcontext():
            response = create(claim.target_id)
            store_response(claim, _kept(response))
    except BaseException:
        release_key(claim)
        raise
    return response


def _kept(response: Response) -> StoredResponse:
    headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    if language := get_language():
        # A later request may be in another one, and its middleware would name that.
        headers["Content-Language"] = language
    # As it is sent: ids and times are text in it.
    return StoredResponse(
        status_code=response.status_code, headers=headers, body=json.loads(Json().render(response.data))
    )


def _repeated(stored: StoredResponse) -> Response:
    return Response(stored.body, status=stored.status_code, headers={**stored.headers, "Idempotency-Replayed": "true"})


def _hash_of(request: Any) -> str:
    """Return the SHA-256 of method, path and content; of a form with each file's bytes."""
    digest = hashlib.sha256(f"{request.method} {request.path}\n".encode())
    # A view that reads no body accepts any, which may be no object.
    items = sorted(request.data.items()) if isinstance(request.data, dict) else [("", request.data)]
    for name, entered in items:
        if isinstance(entered, UploadedFile):
            digest.update(json.dumps([name, entered.name, entered.size]).encode())
            for block in entered.chunks():
                digest.update(block)
            entered.seek(0)
        else:
            digest.update(json.dumps([name, entered], sort_keys=True).encode())
    return digest.hexdigest()
