"""Access to the pages, and JSON error responses: for users who are not signed in, and for database outages."""

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
    """Wrap a page view: users who are not signed in are redirected to the login page."""
    guarded: View = login_required(view)
    return guarded


def json_view(view: View) -> View:
    """Wrap a view for scripts and players: errors are JSON with status 403 or 404, never an HTML page.

    While the database is unavailable the status is 503, never 500.
    """

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if not request.user.is_active:
                return _no_store(JsonResponse({"errors": ["You have been signed out. Sign in again."]}, status=403))
            return view(request, *args, **kwargs)
        except Http404:
            return _no_store(JsonResponse({"errors": ["Not found."]}, status=404))
        except DatabaseError as error:
            logger.warning("DATABASE_UNAVAILABLE %s: %s", request.path, error)
            response = JsonResponse({"errors": ["Temporarily unavailable. Try again in a few seconds."]}, status=503)
            response["Retry-After"] = str(_RETRY_AFTER_S)
            return _no_store(response)

    return guarded


def _no_store(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
