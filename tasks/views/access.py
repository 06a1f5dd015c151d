"""Who may use the pages, and what a program gets instead of a page when it may not, or when the database is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required, login_required
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]

_RETRY_AFTER_S = 5


def html_view(view: View) -> View:
    """A page: sends whoever is not signed in to the login."""
    guarded: View = login_required(view)
    return guarded


def json_view(view: View) -> View:
    """An address that scripts and players ask: no page for an answer, but 403, 404, or 503 while the database is away, never a 500."""

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if not request.user.is_active:
                return _no_store(JsonResponse({"error": "You were signed out. Sign in again."}, status=403))
            return view(request, *args, **kwargs)
        except Http404:
            return _no_store(JsonResponse({"error": "There is no such thing, or it is not yours."}, status=404))
        except DatabaseError as error:
            logger.warning("DATABASE_UNAVAILABLE %s: %s", request.path, error)
            answer = JsonResponse({"error": "The server's database is away for a moment."}, status=503)
            answer["Retry-After"] = str(_RETRY_AFTER_S)
            return _no_store(answer)

    return guarded


def _no_store(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    return answer
