"""Bodies of requests and responses: JSON without surprises, and files as multipart forms.

Other than DRF's parser, this one refuses names that occur twice, NaN, numbers beyond a float, and nesting
that would overflow the stack; and it reads no more than `body_limit_bytes`, whatever the site's middleware is.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.utils.translation import gettext
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer

from ...conf import bridge_settings
from .problems import BodyTooLargeError

MAX_DEPTH = 32
"""Levels of objects and arrays. What the API accepts has two."""


class Json(JSONRenderer):
    """Compact JSON in UTF-8, whatever the site's settings are."""

    compact = True
    strict = True
    ensure_ascii = False
    charset = None


class StrictJson(JSONParser):
    """Parses JSON, or raises ParseError (400) or BodyTooLargeError (413)."""

    renderer_class = Json

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return what the body contains; an empty one is an empty object."""
        limit_bytes = bridge_settings().body_limit_bytes
        content = stream.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise BodyTooLargeError
        if not content.strip():
            return {}
        try:
            found = json.loads(
                content.decode(),
                object_pairs_hook=_once_each,
                parse_constant=_refuse_constant,
                parse_float=_finite,
            )
        except RecursionError:
            raise _too_deep() from None
        except ValueError as error:  # of JSON, UTF-8, or a number with thousands of digits
            raise _not_json(str(error)) from None
        _check_depth(found)
        return found


class Form(MultiPartParser):
    """Parses a form with a file. Django stores a large file on disk while it arrives."""


class OneFormat(DefaultContentNegotiation):
    """Responds with the view's one format, whatever a client accepts: no other would be of use."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the first renderer."""
        return renderers[0], renderers[0].media_type


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        message = "a name occurs twice in one object"
        raise ValueError(message)
    return found


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"{text[:20]} is too large"
        raise ValueError(message)
    return number


def _check_depth(found: Any) -> None:
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ParseError:
    return _not_json(gettext("it has more than {most} levels").format(most=MAX_DEPTH))


def _not_json(why: str) -> ParseError:
    return ParseError(gettext("The body is no valid JSON: {why}").format(why=why))
