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
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import bridge_settings
from ..services.requests.quota import QuotaError
from ..texts.numbers import one_decimal, short_number
from .access import SIGNED_OUT, NoUploadError, Refusal, View, json_refusal, outage, page, refusal_of, wants_json

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

_MIB = 1024**2
_RETRY_AFTER_S = 10


def _busy(message: StrOrPromise) -> Refusal:
    return Refusal(status=503, code="UPLOADS_BUSY", message=message, retry_after_s=_RETRY_AFTER_S)


_NO_LENGTH = Refusal(status=411, code="LENGTH_REQUIRED", message=_("The request needs a Content-Length header."))
_SIGNED_OUT = Refusal(
    status=403, code=SIGNED_OUT, message=_("You have been signed out. Sign in, then upload the file again.")
)
_BUSY = _busy(_("Too many files are being uploaded right now. Try again in a few minutes."))
_BUSY_WITH_OWN = _busy(_("Your other files are being uploaded. Try again when one of them has arrived."))

Refuse = Callable[[HttpRequest, Refusal], HttpResponseBase]


class _LargeBodies(NamedTuple):
    """When a view accepts large bodies, and of which size."""

    if_true: Callable[[], bool]
    check: Callable[[HttpRequest, int], None]
    sender: Callable[[HttpRequest], Any]


def accepts_large_bodies(
    *,
    if_true: Callable[[], bool] = lambda: True,
    check: Callable[[HttpRequest, int], None] = lambda _request, _size_bytes: None,
    sender: Callable[[HttpRequest], Any] = lambda request: request.user,
) -> Callable[[View], View]:
    """Let signed-in users send large bodies to the view, as long as `if_true` returns True.

    `check` is called with the announced length in bytes, before anything is read. It may raise QuotaError or
    NoUploadError. `sender` returns the user, if it is not the one of the session.
    """

    def mark(view: View) -> View:
        view.large_bodies = _LargeBodies(if_true, check, sender)  # type: ignore[attr-defined]  # kept by other decorators
        return view

    return mark


class _Slots:
    """The large bodies that a process receives: half of them, or one, are the most that one user can have."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._per_user = max(1, number // 2)
        self._taken_by_user: Counter[object] = Counter()
        self._lock = Lock()

    def take(self, user_id: object) -> Refusal | None:
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
            user = _sender(request)
            refusal = _refusal(request, size_bytes, user)
        except DatabaseError as error:
            return _response(request, outage(request.path, error))
        if refusal:
            return _response(request, refusal)
        user_id = user.pk
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


def answers_refusals(refuse: Refuse) -> Callable[[View], View]:
    """Let `refuse` make the response to a body that is refused at this view, in the view's own format."""

    def mark(view: View) -> View:
        view.refuse_body = refuse  # type: ignore[attr-defined]  # kept by other decorators
        return view

    return mark


def _sender(request: HttpRequest) -> Any:
    rule = _rule(request)
    return request.user if rule is None else rule.sender(request)


def _refusal(request: HttpRequest, size_bytes: int, user: Any) -> Refusal | None:
    """Return why this user may not send a large body to this URL, or None."""
    rule = _rule(request)
    accepts = rule is not None and rule.if_true()
    if accepts and not user.is_active:
        return _SIGNED_OUT
    conf = bridge_settings()
    if not accepts and not (user.is_active and getattr(user, "is_staff", False)):
        message = _too_large(size_bytes, conf.body_limit_bytes)
        if rule is not None:
            more = gettext("Larger files are uploaded directly to the storage, for which the page needs JavaScript.")
            message = f"{message} {more}"
        return Refusal(status=413, code="BODY_TOO_LARGE", message=message)
    if size_bytes > conf.upload_limit_bytes + conf.body_limit_bytes:
        message = _too_large(size_bytes, conf.upload_limit_bytes)
        return Refusal(status=413, code="BODY_TOO_LARGE", message=message)
    if rule is not None and accepts:
        try:
            rule.check(request, size_bytes)
        except (QuotaError, NoUploadError) as error:
            return refusal_of(error, request.path)
    return None


def _too_large(size_bytes: int, limit_bytes: int) -> str:
    text = gettext("The request has {size} MiB. Up to {limit} MiB are accepted here.")
    return text.format(size=one_decimal(size_bytes / _MIB), limit=short_number(limit_bytes / _MIB))


def _view(request: HttpRequest) -> Any:
    """Return the view of the URL, or None if there is none."""
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None)).func
    except Resolver404:
        return None


def _rule(request: HttpRequest) -> _LargeBodies | None:
    """Return the rule of the URL's view, or None if it never accepts large bodies."""
    return getattr(_view(request), "large_bodies", None)


def _response(request: HttpRequest, refusal: Refusal) -> HttpResponseBase:
    if refuse := getattr(_view(request), "refuse_body", None):
        response: HttpResponseBase = refuse(request, refusal)
        return response
    if wants_json(request):
        return json_refusal(refusal)
    context = {"status": refusal.status, "code": refusal.code, "message": refusal.message}
    return refusal.with_headers(page(request, "batchreel/refused.html", context, status=refusal.status))
