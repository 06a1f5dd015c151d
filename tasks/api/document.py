"""The API's OpenAPI document, for everyone: it contains nothing of the site but its address."""

from __future__ import annotations

from typing import Any

from drf_spectacular.renderers import OpenApiYamlRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from .endpoint import Endpoint
from .schema import document


class Document(Endpoint):
    """The OpenAPI document."""

    permission_classes = []
    authentication_classes = []
    throttle_classes = []
    renderer_classes = [OpenApiYamlRenderer]
    schema = None  # type: ignore[assignment]  # DRF's own way to leave a view out
    patterns: Any = ()
    """The operations that it describes."""

    def get(self, request: Request) -> Response:
        """Return the document in YAML."""
        return Response(document(self.patterns, self.http_request.build_absolute_uri("./").rstrip("/")))

    def get_authenticators(self) -> list[Any]:
        """Return none: nobody needs to sign in."""
        return []
