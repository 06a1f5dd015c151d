"""Middleware that refuses large request bodies before anything reads them.

Django stores the files of a form on disk as soon as something reads the form, and its CSRF check
reads the form of every POST. So without a limit, a visitor who is not signed in can fill the disk of
a web process, at any URL. A small body stays in memory.

It belongs after AuthenticationMiddleware: middleware before that reads no bodies, and the CSRF
check runs after all middleware has been entered. Under ASGI, Django stores a body on disk before
any middleware runs: there, the server or a proxy needs the limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from ..conf import bridge_settings
from ..services.requests.quota import QuotaError
from .access import QUOTA_STATUS, NoUploadError, View, json_error, json_outage, page, wants_json

_MIB = 1024**2
_RETRY_AFTER_S = 10


class _Refusal(NamedTuple):
    status: int
    code: str
    message: str


_NO_LENGTH = _Refusal(411, "LENGTH_REQUIRED", "The request needs a Content-Length header.")
_SIGNED_OUT = _Refusal(403, "SIGNED_OUT", "You have been signed out. Sign in, then upload the file again.")
_BUSY = _Refusal(503, "UPLOADS_BUSY", "Too many files are being uploaded right now. Try again in a few minutes.")
_BUSY_WITH_OWN = _Refusal(
    503, "UPLOADS_BUSY", "Your other files are being uploaded. Try again when one of them has arrived."
)


class _LargeBodies(NamedTuple):
    """When a view accepts large bodies, and of which size."""

    if_true: Callable[[], bool]
    check: Callable[[HttpRequest, int], None]


def accepts_large_bodies(
    *,
    if_true: Callable[[], bool] = lambda: True,
    check: Callable[[HttpRequest, int], None] = lambda _request, _size_bytes: None,
) -> Callable[[View], View]:
    """Let signed-in users send large bodies to the view, as long as `if_true` returns True.

    `check` is called with the announced length in bytes, before anything is read. It may raise QuotaError or
    NoUploadError.
    """

    def mark(view: View) -> View:
        view.large_bodies = _LargeBodies(if_true, check)  # type: ignore[attr-defined]  # kept by other decorators
        return view

    return mark


class _Slots:
    """The large bodies that a process receives: half of them, or one, are the most that one user can have."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._per_user = max(1, number // 2)
        self._taken_by_user: Counter[object] = Counter()
        self._lock = Lock()

    def take(self, user_id: object) -> _Refusal | None:
        """Take a slot, or return why there is none."""
        with self._lock:
            if not self._free:
                return _BUSY
            if self._taken_by_user[user_id] >= self._per_user:
                return _BUSY_WITH_OWN
            self._free -= 1
            self._taken_by_user[user_id] += 1
        return None

    def give_back(self, user_id: object) -> None:
        """Give back a slot that was taken."""
        with self._lock:
            self._free += 1
            self._taken_by_user[user_id] -= 1
            # Without the users who have none, the table stays as small as the number of slots.
            self._taken_by_user = +self._taken_by_user


class BodyLimitMiddleware:
    """Refuse bodies above `body_limit_bytes`.

    Staff may send larger ones everywhere, because they may add files in a site's admin, and other
    signed-in users to views with `accepts_large_bodies`. A slow client holds a thread as long as it
    sends one, so each process accepts `large_bodies_per_process` at a time. Nobody may send more
    than the largest file, `upload_limit_bytes`, in a form with up to `body_limit_bytes` of other fields.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._slots = _Slots(bridge_settings().large_bodies_per_process)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse the request, or pass it on."""
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return _response(request, _NO_LENGTH)
        size_bytes = _length_bytes(request)
        if size_bytes <= bridge_settings().body_limit_bytes:
            return self._get_response(request)
        try:
            refusal = _refusal(request, size_bytes)
        except DatabaseError as error:
            return json_outage(request, error)
        if refusal:
            return _response(request, refusal)
        user_id = request.user.pk
        if refusal := self._slots.take(user_id):
            return _response(request, refusal)
        try:
            return self._get_response(request)
        finally:
            self._slots.give_back(user_id)


def _length_bytes(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        # Django reads nothing then.
        return 0


def _refusal(request: HttpRequest, size_bytes: int) -> _Refusal | None:
    """Return why this user may not send a large body to this URL, or None."""
    rule = _rule(request)
    accepts = rule is not None and rule.if_true()
    if accepts and not request.user.is_active:
        return _SIGNED_OUT
    conf = bridge_settings()
    if not accepts and not (request.user.is_active and getattr(request.user, "is_staff", False)):
        message = _too_large(size_bytes, conf.body_limit_bytes)
        if rule is not None:
            message += " Larger files are uploaded directly to the storage, for which the page needs JavaScript."
        return _Refusal(413, "BODY_TOO_LARGE", message)
    if size_bytes > conf.upload_limit_bytes + conf.body_limit_bytes:
        return _Refusal(413, "BODY_TOO_LARGE", _too_large(size_bytes, conf.upload_limit_bytes))
    if rule is not None and accepts:
        try:
            rule.check(request, size_bytes)
        except QuotaError as error:
            return _Refusal(QUOTA_STATUS, error.code, str(error))
        except NoUploadError as error:
            return _Refusal(403, error.code, str(error))
    return None


def _too_large(size_bytes: int, limit_bytes: int) -> str:
    return f"The request has {size_bytes / _MIB:.1f} MiB. Up to {limit_bytes / _MIB:g} MiB are accepted here."


def _rule(request: HttpRequest) -> _LargeBodies | None:
    """Return the rule of the URL's view, or None if it never accepts large bodies."""
    try:
        view = resolve(request.path_info, getattr(request, "urlconf", None)).func
    except Resolver404:
        return None
    return getattr(view, "large_bodies", None)


def _response(request: HttpRequest, refusal: _Refusal) -> HttpResponseBase:
    response: HttpResponseBase
    if wants_json(request):
        response = json_error(refusal.status, refusal.code, refusal.message)
    else:
        response = page(request, "batchreel/refused.html", refusal._asdict(), status=refusal.status)
    if refusal.status == _BUSY.status:
        response["Retry-After"] = str(_RETRY_AFTER_S)
    return response
