"""Pages of lists, newest first, by a cursor: the time and the id of the row at the edge of a page.

The id makes every place unique, so a page neither repeats nor skips rows with equal times, of which a bulk import has
thousands; and a cursor stays valid when its row is deleted. (DRF's CursorPagination counts from the last different
time instead: it never ends with more than 1,000 equal ones, and skips some if others are deleted. Measured:
findings/drf-cursor-never-ends.sh.)
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError as InvalidValueError
from django.db.models import Q, QuerySet
from django.utils.timezone import is_aware
from django.utils.translation import gettext
from rest_framework import serializers

PAGE_ROWS = 50
MAX_PAGE_ROWS = 200
_WHOLE_NUMBER = re.compile("[1-9][0-9]{0,5}")
_NEXT, _PREVIOUS = "next", "previous"
_EPOCH, _BIGINT_BITS = 1970, 63


def page_of(request: Any, rows: QuerySet[Any]) -> tuple[list[Any], dict[str, str | None]]:
    """Return the rows of the requested page, and the URLs of the `next` and the `previous` one, or None.

    The rows need `created_at`. Query parameters: `cursor`, and `limit` from 1 to MAX_PAGE_ROWS. Raises
    ValidationError for others.
    """
    limit = _limit(request.query_params.get("limit"))
    cursor = request.query_params.get("cursor")
    direction, edge = _decoded(cursor, rows) if cursor is not None else (_NEXT, None)
    if direction == _NEXT:
        found = list((rows.filter(_older(edge)) if edge else rows).order_by("-created_at", "-pk")[: limit + 1])
        page = found[:limit]
    else:
        found = list(rows.filter(_newer(edge)).order_by("created_at", "pk")[: limit + 1])
        page = found[:limit][::-1]
    # An empty page lies at the edge: the row there, if it still exists, is on the page before.
    at_edge = edge._replace(inclusive=True) if edge else None
    newest = _Edge(page[0].created_at, page[0].pk) if page else at_edge
    oldest = _Edge(page[-1].created_at, page[-1].pk) if page else at_edge
    more = len(found) > limit
    has_older = more if direction == _NEXT else rows.filter(_older(oldest)).exists()
    has_newer = more if direction == _PREVIOUS else newest is not None and rows.filter(_newer(newest)).exists()
    return page, {
        "next": _url(request, _NEXT, oldest) if oldest and has_older else None,
        "previous": _url(request, _PREVIOUS, newest) if newest and has_newer else None,
    }


class _Edge(NamedTuple):
    """A place in a list: that of a row, next to which a page begins, or with which if it is inclusive."""

    at: datetime
    pk: Any
    inclusive: bool = False


def _older(edge: Any) -> Q:
    return Q(created_at__lt=edge.at) | Q(("pk__lte" if edge.inclusive else "pk__lt", edge.pk), created_at=edge.at)


def _newer(edge: Any) -> Q:
    return Q(created_at__gt=edge.at) | Q(("pk__gte" if edge.inclusive else "pk__gt", edge.pk), created_at=edge.at)


def _url(request: Any, direction: str, edge: _Edge) -> str:
    text = json.dumps([direction, edge.at.isoformat(), str(edge.pk), edge.inclusive])
    cursor = urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    query = {**{name: request.query_params[name] for name in request.query_params}, "cursor": cursor}
    return str(request.build_absolute_uri(f"{request.path}?{urlencode(query)}"))


def _decoded(cursor: str, rows: QuerySet[Any]) -> tuple[str, _Edge]:
    key = rows.model._meta.pk  # noqa: SLF001 - Django's documented way to a model's fields
    try:
        direction, at, text, inclusive = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        edge = _Edge(datetime.fromisoformat(at), key.to_python(text), inclusive is True)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, InvalidValueError):
        raise _bad_cursor() from None
    # No time of ours is before the epoch, and PostgreSQL's integers have 63 bits.
    in_range = edge.at.year >= _EPOCH and not (isinstance(edge.pk, int) and edge.pk.bit_length() > _BIGINT_BITS)
    if direction not in (_NEXT, _PREVIOUS) or is_aware(edge.at) != settings.USE_TZ or edge.pk is None or not in_range:
        raise _bad_cursor()
    return direction, edge


def _bad_cursor() -> serializers.ValidationError:
    return serializers.ValidationError({"cursor": gettext("Take the cursor from `next` or `previous`.")})


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_ROWS
    if not _WHOLE_NUMBER.fullmatch(text) or int(text) > MAX_PAGE_ROWS:
        message = gettext("The limit is a whole number from 1 to {most}.").format(most=MAX_PAGE_ROWS)
        raise serializers.ValidationError({"limit": message})
    return int(text)
