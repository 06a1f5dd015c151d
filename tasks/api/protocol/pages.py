"""Pages of lists, newest first, by a cursor: the time and the id of the row at the edge of a page.

The id makes every place unique, so a page neither repeats nor skips rows with equal times, of which a bulk import has
thousands; and a cursor stays valid when its row is deleted. (DRF's CursorPagination counts from the last different
time instead: it never ends with more than 1,000 equal ones, and skips some if others are deleted; measured, 3.18.)
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError as InvalidValueError
from django.db.models import Q, QuerySet
from django.utils.timezone import is_aware
from rest_framework import serializers

PAGE_ROWS = 50
MAX_PAGE_ROWS = 200
_NEXT, _PREVIOUS = "next", "previous"
_EPOCH, _BIGINT_BITS = 1970, 63


def page_of(request: Any, rows: QuerySet[Any]) -> tuple[list[Any], dict[str, str | None]]:
    """Return the rows of the requested page, and the URLs of the `next` and the `previous` one, or None.

    The rows need `created_at`. Query parameters: `cursor`, and `limit` from 1 to MAX_PAGE_ROWS. Raises
    ValidationError for others.
    """
    limit = _limit(request.query_params.get("limit"))
    cursor = request.query_params.get("cursor")
    direction, edge = _decoded(cursor, rows) if cursor else (_NEXT, None)
    if direction == _NEXT:
        found = list((rows.filter(_before(edge)) if edge else rows).order_by("-created_at", "-pk")[: limit + 1])
        page, more = found[:limit], len(found) > limit
    else:
        found = list(rows.filter(_after(edge)).order_by("created_at", "pk")[: limit + 1])
        page, more = found[:limit][::-1], True
    newest = _edge(page[0]) if page else edge
    oldest = _edge(page[-1]) if page else edge
    if direction == _PREVIOUS:
        has_newer, has_older = len(found) > limit, oldest is not None and rows.filter(_before(oldest)).exists()
    else:
        has_newer, has_older = newest is not None and rows.filter(_after(newest)).exists(), more
    if not page and direction == _NEXT and edge:
        has_newer = rows.filter(_after(edge) | Q(created_at=edge[0], pk=edge[1])).exists()
    return page, {
        "next": _url(request, _NEXT, oldest) if has_older else None,
        "previous": _url(request, _PREVIOUS, newest) if has_newer else None,
    }


_Edge = tuple[datetime, Any]


def _edge(row: Any) -> _Edge:
    return row.created_at, row.pk


def _before(edge: Any) -> Q:
    """Match the rows that come after the edge in the list: the older ones."""
    return Q(created_at__lt=edge[0]) | Q(created_at=edge[0], pk__lt=edge[1])


def _after(edge: Any) -> Q:
    return Q(created_at__gt=edge[0]) | Q(created_at=edge[0], pk__gt=edge[1])


def _url(request: Any, direction: str, edge: _Edge | None) -> str:
    assert edge is not None  # noqa: S101 - there is a page in this direction only next to a row
    text = json.dumps([direction, edge[0].isoformat(), str(edge[1])])
    cursor = urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    query = {**{name: request.query_params[name] for name in request.query_params}, "cursor": cursor}
    return str(request.build_absolute_uri(f"{request.path}?{urlencode(query)}"))


def _decoded(cursor: str, rows: QuerySet[Any]) -> tuple[str, _Edge]:
    key = rows.model._meta.pk  # noqa: SLF001 - Django's documented way to a model's fields
    try:
        direction, at, text = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        edge = datetime.fromisoformat(at), key.to_python(text)
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidValueError):
        raise _bad_cursor() from None
    # No time of ours is before the epoch, and PostgreSQL's integers have 63 bits.
    in_range = edge[0].year >= _EPOCH and not (isinstance(edge[1], int) and edge[1].bit_length() > _BIGINT_BITS)
    if direction not in {_NEXT, _PREVIOUS} or is_aware(edge[0]) != settings.USE_TZ or edge[1] is None or not in_range:
        raise _bad_cursor()
    return direction, edge


def _bad_cursor() -> serializers.ValidationError:
    return serializers.ValidationError({"cursor": "Take the cursor from `next` or `previous`."})


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_ROWS
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MAX_PAGE_ROWS):  # noqa: PLR2004 - any longer one is too large
        message = f"The limit is a whole number from 1 to {MAX_PAGE_ROWS}."
        raise serializers.ValidationError({"limit": message})
    return int(text)
