"""Errors as problem details: `application/problem+json` (RFC 9457), with a stable `code`.

The type is `about:blank`, whose title is the phrase of the status (RFC 9457, 4.2.1): programs read `code`.
"""

from __future__ import annotations

import json
import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings

from ...services.requests.idempotency import KeyReusedError
from ...views.access import Refusal, refusal_of

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class PreconditionFailedError(exceptions.APIException):
    """The If-Match header names another version than the present one."""

    status_code = 412
    default_detail = _("It has changed since it was read. Read it again.")
    default_code = "precondition_failed"


class BodyTooLargeError(exceptions.APIException):
    """The body is larger than `body_limit_bytes`."""

    status_code = 413
    default_detail = _("The body is too large.")
    default_code = "body_too_large"


class NotHereError(exceptions.APIException):
    """The storage of this site needs the other way of uploading."""

    status_code = 409
    default_code = "other_way_of_upload"


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Return the response to a request that raised this error: DRF's `EXCEPTION_HANDLER`, for our views only."""
    request = context["request"]
    match error:
        case exceptions.ValidationError():
            message = gettext("Some values are not valid.")
            return _problem(400, "INVALID", message, errors=_listed(error.detail))
        case exceptions.APIException():
            response = _problem(error.status_code, str(error.default_code).upper(), str(error.detail))
            for name, text in _headers(error).items():
                response[name] = text
            return response
        case PermissionDenied():
            return _problem(403, "PERMISSION_DENIED", gettext("You may not do this."))
        case KeyReusedError():
            return _problem(422, error.code, str(error))
    refusal = refusal_of(error, request.path)
    if refusal is None:
        refusal = _fault(error, request)
    return refusal.with_headers(_problem(refusal.status, refusal.code, refusal.message, **refusal.details))


def refuse(_request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return the response to a request that never reaches its view."""
    body = json.dumps(_members(refusal.status, refusal.code, refusal.message, **refusal.details))
    headers = {"Cache-Control": "no-store"}
    response = HttpResponse(body, status=refusal.status, content_type=CONTENT_TYPE, headers=headers)
    return refusal.with_headers(response)


def _fault(error: Exception, request: Any) -> Refusal:
    """Report a fault of the code as Django does, in the log and by its signal."""
    logger.error("API_FAILED %s", request.path, exc_info=error)
    got_request_exception.send(sender=None, request=request)
    message = gettext("The site could not do this. Its operators have the details.")
    return Refusal(status=500, code="INTERNAL", message=message)


def _problem(status: int, code: str, detail: StrOrPromise, **members: Any) -> Response:
    return Response(_members(status, code, detail, **members), status=status, content_type=CONTENT_TYPE)


def _members(status: int, code: str, detail: StrOrPromise, **members: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": str(detail),
        **members,
    }


def _headers(error: exceptions.APIException) -> dict[str, str]:
    found = {}
    if header := getattr(error, "auth_header", None):
        found["WWW-Authenticate"] = header
    if (wait_s := getattr(error, "wait", None)) is not None:
        found["Retry-After"] = str(max(1, math.ceil(wait_s)))
    return found


def _listed(detail: Any, field: str = "") -> list[dict[str, str]]:
    """Return the errors of a serializer as a list of `field` and `message`: fields within fields with dots."""
    if isinstance(detail, dict):
        whole = ("", api_settings.NON_FIELD_ERRORS_KEY)
        return [
            each
            for name, inner in detail.items()
            for each in _listed(inner, field if name in whole else f"{field}.{name}".lstrip("."))
        ]
    if isinstance(detail, list):
        return [each for inner in detail for each in _listed(inner, field)]
    return [{"field": field, "message": str(detail)}]
