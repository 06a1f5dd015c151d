"""The API's OpenAPI document, for everyone: it contains nothing of the site but its address."""

from __future__ import annotations

from threading import Lock
from typing import Any

from drf_spectacular.renderers import OpenApiYamlRenderer
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from .endpoint import Endpoint
from .schema import document

_ADDRESS = "https://site.invalid/api"
"""Stands for the site's address in the kept text. No site has it: RFC 6761, 6.4."""


class Yaml(BaseRenderer):
    """Sends the text of the document."""

    media_type = OpenApiYamlRenderer.media_type
    format = "yaml"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Return the text in UTF-8."""
        return str(data).encode()


class Document(Endpoint):
    """The OpenAPI document. Each process makes it once: making it takes long, and is open to everyone."""

    permission_classes = []
    authentication_classes = []
    throttle_classes = []
    renderer_classes = [Yaml]
    schema = None  # type: ignore[assignment]  # DRF's own way to leave a view out
    patterns: Any = ()
    """The operations that it describes."""
    _kept = ""
    _lock = Lock()

    def get(self, request: Request) -> Response:
        """Return the document in YAML."""
        with Document._lock:
            Document._kept = Document._kept or rendered(self.patterns, _ADDRESS)
        return Response(Document._kept.replace(_ADDRESS, self.http_request.build_absolute_uri("./").rstrip("/")))

    def get_authenticators(self) -> list[Any]:
        """Return none: nobody needs to sign in."""
        return []


def rendered(patterns: Any, server: str) -> str:
    """Return the text of the document for a site with this address."""
    renderer: Any = OpenApiYamlRenderer()
    text: bytes = renderer.render(document(patterns, server))
    return text.decode()
