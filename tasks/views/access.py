"""Who may use the pages, and what a program gets instead of a page when it may not, or when the database is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]

_RETRY_AFTER_S = 5


def for_staff(view: View) -> View:
    """A page: sends anybody else to the login."""
    guarded: View = staff_member_required(view, login_url="admin:login")
    return guarded


def for_staff_programs(view: View) -> View:
    """An address that scripts and players ask: 403 instead of a login page, 503 while the database is away, never a 500 for either."""

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if not is_staff(request):
                return _no_store(JsonResponse({"error": "You were signed out. Sign in again."}, status=403))
            return view(request, *args, **kwargs)
        except DatabaseError as error:
            logger.warning("DATABASE_AWAY %s: %s", request.path, error)
            answer = JsonResponse({"error": "The server's database is away for a moment."}, status=503)
            answer["Retry-After"] = str(_RETRY_AFTER_S)
            return _no_store(answer)

    return guarded


def is_staff(request: HttpRequest) -> bool:
    """Whether an active member of staff is signed in."""
    return request.user.is_active and request.user.is_staff


def _no_store(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    return answer
