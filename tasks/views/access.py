"""Access to the pages, and JSON error responses: each error has a stable code (docs/reference/http.md)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required, login_required
from django.core.exceptions import SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]

QUOTA_STATUS = 429
"""Too Many Requests: a quota of the owner is used up."""

_RETRY_AFTER_S = 5

_OUTAGES = (OperationalError, InterfaceError, InternalError)
"""What psycopg raises while PostgreSQL is unreachable, restarting, a replica, or out of locks in time.

A ProgrammingError is a fault of the code: status 500.
"""


def html_view(view: View) -> View:
    """Wrap a page view: users who are not signed in are redirected to the login page."""
    guarded: View = login_required(view)
    return guarded


def json_view(view: View) -> View:
    """Wrap a view for scripts and players: errors are JSON with a code, never an HTML page.

    A script repeats a request that got status 503, so only an outage of the database results in it.
    """

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if not request.user.is_active:
                return json_error(403, "SIGNED_OUT", "You have been signed out. Sign in again.")
            return view(request, *args, **kwargs)
        except Http404:
            return json_error(404, "NOT_FOUND", "Not found.")
        except IntegrityError as error:
            logger.warning("REQUEST_CONFLICT %s: %s", request.path, error)
            return json_error(409, "CONFLICT", "Another request has changed the same data. Reload the page.")
        except (DataError, SuspiciousOperation, UnicodeError) as error:
            logger.warning("REQUEST_INVALID %s: %s", request.path, error)
            return json_error(400, "INVALID", "The request contains a value that cannot be stored.")
        except _OUTAGES as error:
            return json_outage(request, error)

    return guarded


def json_error(status: int, code: str, *messages: str, **details: Any) -> JsonResponse:
    """Return an error response: messages for the user, and a code for programs."""
    response = JsonResponse({"errors": list(messages), "code": code, **details}, status=status)
    response["Cache-Control"] = "no-store"
    return response


def json_outage(request: HttpRequest, error: Exception) -> JsonResponse:
    """Return the response to a request that failed because the database is unavailable."""
    logger.warning("DATABASE_UNAVAILABLE %s: %s", request.path, error)
    response = json_error(503, "UNAVAILABLE", "Temporarily unavailable. Try again in a few seconds.")
    response["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def sees_costs(user: Any) -> bool:
    """Return whether this user sees what videos cost: staff, of the videos that they may see."""
    return bool(user.is_staff)


def wants_json(request: HttpRequest) -> bool:
    """Return whether the client accepts JSON and no page."""
    return request.accepts("application/json") and not request.accepts("text/html")
