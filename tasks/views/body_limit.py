"""Middleware that refuses large request bodies before anything reads them.

Django stores the files of a form on disk as soon as something reads the form, and its CSRF check
reads the form of every POST. So without a limit, a visitor who is not signed in can fill the disk of
a web process, at any URL. A small body stays in memory.

It belongs after AuthenticationMiddleware: middleware before that reads no bodies, and the CSRF
check runs after all middleware has been entered. Under ASGI, Django stores a body on disk before
any middleware runs: there, the server or a proxy needs the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import NamedTuple

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import Resolver404, resolve

from ..conf import bridge_settings
from .access import View, json_error, json_outage, wants_json

_MIB = 1024**2
_RETRY_AFTER_S = 10


class _Refusal(NamedTuple):
    status: int
    code: str
    message: str


_NO_LENGTH = _Refusal(411, "LENGTH_REQUIRED", "The request needs a Content-Length header.")
_SIGNED_OUT = _Refusal(403, "SIGNED_OUT", "You have been signed out. Sign in, then upload the file again.")
_BUSY = _Refusal(503, "UPLOADS_BUSY", "Too many files are being uploaded right now. Try again in a few minutes.")


def accepts_large_bodies(*, if_true: Callable[[], bool] = lambda: True) -> Callable[[View], View]:
    """Let signed-in users send large bodies to the view, as long as `if_true` returns True."""

    def mark(view: View) -> View:
        view.accepts_large_body = if_true  # type: ignore[attr-defined]
        return view

    return mark


class BodyLimitMiddleware:
    """Refuse bodies above `body_limit_bytes`.

    Staff may send larger ones everywhere, because they may add files in a site's admin, and other
    signed-in users to views with `accepts_large_bodies`. A slow client holds a thread as long as it
    sends one, so each process accepts `large_bodies_per_process` at a time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._slots = BoundedSemaphore(bridge_settings().large_bodies_per_process)

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
        if not self._slots.acquire(blocking=False):
            return _response(request, _BUSY)
        try:
            return self._get_response(request)
        finally:
            self._slots.release()


def _length_bytes(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        # Django reads nothing then.
        return 0


def _refusal(request: HttpRequest, size_bytes: int) -> _Refusal | None:
    """Return why this user may not send a large body to this URL, or None."""
    accepts = _accepts_large_body(request)
    if accepts and not request.user.is_active:
        return _SIGNED_OUT
    if accepts or (request.user.is_active and getattr(request.user, "is_staff", False)):
        return None
    limit_bytes = bridge_settings().body_limit_bytes
    message = f"The request has {size_bytes / _MIB:.1f} MiB. Up to {limit_bytes / _MIB:g} MiB are accepted here."
    if accepts is not None:
        message += " Larger files are uploaded directly to the storage, for which the page needs JavaScript."
    return _Refusal(413, "BODY_TOO_LARGE", message)


def _accepts_large_body(request: HttpRequest) -> bool | None:
    """Return whether the URL's view accepts large bodies now. Return None if it never does."""
    try:
        view = resolve(request.path_info, getattr(request, "urlconf", None)).func
    except Resolver404:
        return None
    if_true = getattr(view, "accepts_large_body", None)
    return None if if_true is None else bool(if_true())


def _response(request: HttpRequest, refusal: _Refusal) -> HttpResponseBase:
    response: HttpResponseBase
    if wants_json(request):
        response = json_error(refusal.status, refusal.code, refusal.message)
    else:
        response = render(request, "batchreel/refused.html", refusal._asdict(), status=refusal.status)
    if refusal.status == _BUSY.status:
        response["Retry-After"] = str(_RETRY_AFTER_S)
    return response
