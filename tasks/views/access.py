"""Access to videos and pages, and JSON error responses: each error has a stable code (docs/reference/http.md).

Every view gets its video from `video_for`, and `refusal_of` is the one table of errors and statuses.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.decorators import login_not_required, login_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, UnreadablePostError
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ..conf import bridge_settings
from ..lifecycle.errors import BatchreelError, ConflictError, NotFoundError, UnusableInputError
from ..models import Video
from ..selectors.access import Action, allowed, may_upload, permitted
from ..selectors.videos import shown_videos
from ..services.requests.direct_upload import PartsMissingError, UploadLostError
from ..services.requests.quota import QuotaError
from ..storage.bucket import BucketError
from .cookies import links_of

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]
Sent = TypeVar("Sent", bound=HttpResponseBase)

SIGNED_OUT = "SIGNED_OUT"
"""Code of a request that needs an account."""

CONTENT_ALONE = "batchreel/content_alone.html"
"""Base template of a page whose script requests its content again."""

QUOTA_STATUS = 429
"""Too Many Requests: a quota of the owner is used up."""

_RETRY_AFTER_S = 5

_STORAGE_UNAVAILABLE = _(
    "The storage is temporarily unavailable. The parts uploaded so far are kept. Try again in a few seconds."
)


class NoUploadError(BatchreelError):
    """A person without `batchreel.add_video` uploads."""

    code = "MAY_NOT_UPLOAD"

    def __init__(self) -> None:
        """Add the message."""
        super().__init__(gettext("Your account may not upload videos."))


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


def post_only(page_name: str) -> Callable[[View], View]:
    """Wrap a view of a form: GET redirects to the page that has the form, with the video's id if the URL has one.

    Browsers request such a URL after a sign-in (`?next=`), from the history, or because someone kept it. Whether
    there is such a video is up to the page.
    """

    def wrap(view: View) -> View:
        posted: View = require_POST(view)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method in {"GET", "HEAD"}:
                return redirect(page_name, kwargs["video_id"]) if "video_id" in kwargs else redirect(page_name)
            return posted(request, *args, **kwargs)

        return guarded

    return wrap


def signed_in_view(view: View) -> View:
    """Wrap a view for scripts that is for people who are signed in: 403 for others. See json_view."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if request.user.is_active else signed_out()

    return json_view(guarded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a client gets instead of what it requested: a status, a stable code, and a message for people."""

    status: int
    code: str
    message: StrOrPromise
    details: dict[str, Any] = field(default_factory=dict)
    """Further members of the response, by name."""
    retry_after_s: int | None = None

    def with_headers(self, response: Sent) -> Sent:
        """Add the headers of a refusal to its response, whatever its format is."""
        if self.retry_after_s is not None:
            response["Retry-After"] = str(self.retry_after_s)
        return response


_STATUSES: tuple[tuple[type[BatchreelError], int], ...] = (
    (NoUploadError, 403),
    (NotFoundError, 404),
    (UnusableInputError, 400),
    (QuotaError, QUOTA_STATUS),
    (UploadLostError, 410),
    (ConflictError, 409),
)
"""The first class that fits decides."""


def refusal_of(error: Exception, path: str) -> Refusal | None:
    """Return the response to a request that raised this error, or None for a fault of the code."""
    if isinstance(error, BatchreelError):
        details = {"missing": error.numbers} if isinstance(error, PartsMissingError) else {}
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
        return None if status is None else Refusal(status=status, code=error.code, message=str(error), details=details)
    match error:
        case Http404():
            return Refusal(status=404, code="NOT_FOUND", message=gettext("Not found."))
        case BucketError():
            logger.warning("STORAGE_UNAVAILABLE %s", error)
            return Refusal(status=503, code="STORAGE_UNAVAILABLE", message=_STORAGE_UNAVAILABLE)
        case DatabaseError() | InterfaceError():
            return _of_the_database(error, path)
        case SuspiciousOperation() | UnicodeError() | UnreadablePostError():
            return _not_storable(error, path)
    return None


def _of_the_database(error: Exception, path: str) -> Refusal | None:
    match error:
        case IntegrityError():
            logger.warning("REQUEST_CONFLICT %s: %s", path, error)
            message = gettext("Another request has changed the same data. Reload the page.")
            return Refusal(status=409, code="CONFLICT", message=message)
        case DataError():
            return _not_storable(error, path)
        case OperationalError() | InterfaceError() | InternalError():
            # While PostgreSQL is unreachable, restarting, a replica, or out of locks in time.
            return outage(path, error)
    return None


def _not_storable(error: Exception, path: str) -> Refusal:
    logger.warning("REQUEST_INVALID %s: %s", path, error)
    message = gettext("The request contains a value that cannot be stored.")
    if isinstance(error, UnreadablePostError):  # the client has gone, which is no fault of the site
        message = gettext("The request was not received completely.")
    return Refusal(status=400, code="INVALID", message=message)


def outage(path: str, error: Exception) -> Refusal:
    """Return the response to a request that failed because the database is unavailable."""
    logger.warning("DATABASE_UNAVAILABLE %s: %s", path, error)
    message = gettext("Temporarily unavailable. Try again in a few seconds.")
    return Refusal(status=503, code="UNAVAILABLE", message=message, retry_after_s=_RETRY_AFTER_S)


def json_view(view: View) -> View:
    """Wrap a view for scripts and players: errors are JSON with a code, never an HTML page.

    A script repeats a request that got status 503, so only an outage of the database or the storage results in it.
    """

    @login_not_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Exception as error:
            refusal = refusal_of(error, request.path)
            if refusal is None:
                raise
            return json_refusal(refusal)

    return guarded


def json_refusal(refusal: Refusal) -> JsonResponse:
    """Return the response of an endpoint of the pages."""
    return refusal.with_headers(json_error(refusal.status, refusal.code, str(refusal.message), **refusal.details))


def json_error(status: int, code: str, *messages: str, **details: Any) -> JsonResponse:
    """Return an error response: messages for the user, and a code for programs."""
    response = JsonResponse({"errors": list(messages), "code": code, **details}, status=status)
    response["Cache-Control"] = "no-store"
    return response


def signed_out() -> JsonResponse:
    """Return the response to a script of a person who is not signed in."""
    return json_error(403, SIGNED_OUT, gettext("You have been signed out. Sign in again."))


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


def quota_owner(request: HttpRequest, video: Video) -> Any:
    """Return the user whose quotas apply to a request for this video: its owner, and None for others."""
    return request.user if video.owner_id == request.user.pk else None


def sees_costs(user: Any, video: Video | None = None) -> bool:
    """Return whether this user sees what videos cost: people with `change_video`, not owners as such."""
    return permitted(user, "change", video)


def page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render a page inside of `base_template`."""
    return render(request, template, {"base_template": bridge_settings().base_template, **context}, status=status)


def wants_json(request: HttpRequest) -> bool:
    """Return whether the client accepts JSON and no page."""
    return request.accepts("application/json") and not request.accepts("text/html")
