"""ETags and conditional requests (RFC 9110, 13): reading what has changed only, and changing what one has read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.utils.http import parse_etags
from rest_framework.response import Response

from .bodies import Json
from .problems import PreconditionFailedError


def etag_of(data: Any) -> str:
    """Return the strong ETag of a response's content: equal if and only if its bytes are."""
    return f'"{hashlib.sha256(Json().render(data)).hexdigest()[:32]}"'


def tagged(request: Any, data: Any) -> Response:
    """Return the response with its ETag: 200, or 304 if the client has this version (If-None-Match)."""
    etag = etag_of(data)
    held = parse_etags(request.headers.get("If-None-Match", ""))
    is_held = held == ["*"] or etag in (each.removeprefix("W/") for each in held)  # weak comparison: 13.1.2
    response = Response(status=304) if is_held and request.method in {"GET", "HEAD"} else Response(data)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def require_match(request: Any, read: Callable[[], Any]) -> None:
    """Raise PreconditionFailedError unless If-Match names the present version. A no-op without that header."""
    header = request.headers.get("If-Match")
    if header is None:
        return
    wanted = parse_etags(header)
    if wanted != ["*"] and etag_of(read()) not in wanted:  # strong comparison: 13.1.1
        raise PreconditionFailedError
