"""The base of all views of the API. It sets what DRF otherwise takes from the site's REST_FRAMEWORK setting."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, cast

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from ..models import Video
from ..selectors.access import Action, may_with_model
from ..views.access import SIGNED_OUT, Refusal, video_for
from .protocol.bodies import Json, OneFormat, StrictJson
from .protocol.problems import handle, refuse
from .protocol.throttling import PerUser
from .schema import ApiSchema


class SignedIn(BasePermission):
    """Accepts active accounts only: nobody else reaches data, whatever the visibility of a video."""

    message = _("This needs an account.")

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request is that of an active account."""
        return bool(request.user and request.user.is_authenticated and request.user.is_active)


class Endpoint(APIView):
    """A view of the API: JSON in and out, problems as errors, the user's limit of requests.

    Who asks is found by the site's own DEFAULT_AUTHENTICATION_CLASSES if its REST_FRAMEWORK has them; by
    DRF's tokens, if that app is installed, and Django's sessions otherwise.
    """

    permission_classes = [SignedIn]
    parser_classes = [StrictJson]
    renderer_classes = [Json]
    throttle_classes = [PerUser]
    content_negotiation_class = OneFormat
    versioning_class = None
    metadata_class = None  # OPTIONS is no operation: 405
    schema = ApiSchema()

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return the ways by which people sign in, in the order in which they are tried."""
        return [each() for each in authentication_classes()]

    def get_exception_handler(self) -> Any:
        """Return the function that turns errors into problems."""
        return handle

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse unknown query parameters as well: a list with a mistyped filter would contain everything."""
        super().initial(request, *args, **kwargs)
        method = getattr(self, request.method.lower(), None)
        if (described := getattr(method, "described", None)) is None:
            return
        names = {each.name for each in described["parameters"] if each.location == OpenApiParameter.QUERY}
        if unknown := sorted(set(request.query_params) - names):
            raise ValidationError({name[:100]: gettext("There is no such parameter.") for name in unknown})

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep responses out of caches, unless the view has set another header."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @property
    def http_request(self) -> HttpRequest:
        """The request, for functions of the pages: DRF's has the attributes of Django's, and the user of its token."""
        return cast("HttpRequest", self.request)

    def video(self, video_id: uuid.UUID, action: Action = "view") -> Video:
        """Return the video if this user may do this with it. Raises Http404."""
        return video_for(self.http_request, video_id, action)

    def require(self, permission: str) -> None:
        """Raise PermissionDenied unless the user has this permission for all rows of a model."""
        if not may_with_model(self.request.user, permission):
            raise MissingPermissionError(permission)


class MissingPermissionError(APIException):
    """The account has no permission of the model."""

    status_code = 403
    default_code = "permission_denied"

    def __init__(self, permission: str) -> None:
        super().__init__(gettext("This needs the permission {name}.").format(name=permission))


def authentication_classes() -> list[type[BaseAuthentication]]:
    """Return the site's authentication classes, or ours if it names none."""
    if "DEFAULT_AUTHENTICATION_CLASSES" in api_settings.user_settings:
        classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES  # imported, unlike in the stubs
        return list(classes)
    if apps.is_installed("rest_framework.authtoken"):
        # First, because its header names how to sign in: 401 instead of 403.
        return [TokenAuthentication, SessionAuthentication]
    return [SessionAuthentication]


def sender_of(request: HttpRequest) -> Any:
    """Return who sends a request, before its body is read: the user of the session, or of the token."""
    if request.user.is_active:
        return request.user
    # A session needs a CSRF token, which Django may look for in the body.
    classes = [each for each in authentication_classes() if not issubclass(each, SessionAuthentication)]
    try:
        found = Request(request, authenticators=[each() for each in classes]).user
    except APIException:
        return request.user
    return found or request.user


def refuse_body(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return the response to a body that is not read; to people without an account, as to their other requests."""
    if refusal.code != SIGNED_OUT:
        return refuse(request, refusal)
    header = next((each().authenticate_header(Request(request)) for each in authentication_classes()), None)
    status, code = (401, "NOT_AUTHENTICATED") if header else (403, "NOT_AUTHENTICATED")
    response = refuse(request, replace(refusal, status=status, code=code))
    if header:
        response["WWW-Authenticate"] = header
    return response


class Nowhere(Endpoint):
    """Every other path: 404 as a problem, not as one of Django's pages."""

    permission_classes = []
    throttle_classes = []
    schema = None  # type: ignore[assignment]  # DRF's own way to leave a view out

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound, whatever the method."""
        raise NotFound
