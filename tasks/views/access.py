"""Access to videos and pages, and JSON error responses: each error has a stable code (docs/reference/http.md).

Every view gets its video from `video_for`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required, login_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from ..conf import bridge_settings
from ..lifecycle.errors import BatchreelError
from ..models import Video
from ..selectors.access import Action, allowed, may_upload, permitted
from ..selectors.videos import shown_videos
from .cookies import links_of

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]

QUOTA_STATUS = 429
"""Too Many Requests: a quota of the owner is used up."""

_RETRY_AFTER_S = 5

_OUTAGES = (OperationalError, InterfaceError, InternalError)
"""What psycopg raises while PostgreSQL is unreachable, restarting, a replica, or out of locks in time.

A ProgrammingError is a fault of the code: status 500.
"""


class NoUploadError(BatchreelError):
    """A person without `batchreel.add_video` uploads."""

    code = "MAY_NOT_UPLOAD"

    def __init__(self) -> None:
        """Add the message."""
        super().__init__("Your account may not upload videos.")


def require_upload(request: HttpRequest) -> None:
    """Raise NoUploadError unless this user may upload."""
    if not may_upload(request.user):
        raise NoUploadError


def html_view(view: View) -> View:
    """Wrap a page view: users who are not signed in are redirected to the login page."""
    guarded: View = login_required(view)
    return guarded


def watch_view(view: View) -> View:
    """Wrap a page that some people may open without signing in.

    All others who are not signed in are redirected to the login page, whether there is such a video or not.
    """

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            if request.user.is_authenticated:
                raise
            response = redirect_to_login(request.get_full_path())
        patch_vary_headers(response, ["Cookie"])
        return response

    return guarded


def signed_in_view(view: View) -> View:
    """Wrap a view for scripts that is for people who are signed in: 403 for others. See json_view."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if request.user.is_active else signed_out()

    return json_view(guarded)


def json_view(view: View) -> View:
    """Wrap a view for scripts and players: errors are JSON with a code, never an HTML page.

    A script repeats a request that got status 503, so only an outage of the database results in it.
    """

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NoUploadError as error:
            return json_error(403, error.code, str(error))
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


def signed_out() -> JsonResponse:
    """Return the response to a script of a person who is not signed in."""
    return json_error(403, "SIGNED_OUT", "You have been signed out. Sign in again.")


def video_for(request: HttpRequest, video_id: uuid.UUID, action: Action = "watch") -> Video:
    """Return the video, if the person behind the request may do this with it.

    Raises Http404 otherwise, as for a video that does not exist: an id that is right reveals nothing.
    """
    video = shown_videos().filter(pk=video_id).first()
    if video is None or not may(request, action, video):
        raise Http404
    return video


def may(request: HttpRequest, action: Action, video: Video) -> bool:
    """Return whether the person behind the request may do this with the video."""
    return allowed(request.user, action, video, links=links_of(request) if action == "watch" else ())


def sees_costs(user: Any, video: Video | None = None) -> bool:
    """Return whether this user sees what videos cost: people with `change_video`, not owners as such."""
    return permitted(user, "change", video)


def page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render a page inside of `base_template`."""
    return render(request, template, {"base_template": bridge_settings().base_template, **context}, status=status)


def wants_json(request: HttpRequest) -> bool:
    """Return whether the client accepts JSON and no page."""
    return request.accepts("application/json") and not request.accepts("text/html")
