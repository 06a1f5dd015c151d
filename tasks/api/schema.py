"""The OpenAPI document of the API: drf-spectacular with settings of our own, whatever those of the site are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.utils.translation import override
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings
from drf_spectacular.utils import OpenApiParameter

from .. import __version__
from .protocol.fields import Problem
from .protocol.problems import CONTENT_TYPE

Method = TypeVar("Method", bound=Callable[..., Any])

DESCRIPTION = """\
Videos, their uploads, jobs, playback and sharing, and the endpoints of webhooks.

Errors are problem details (RFC 9457) with a stable `code`. New members and codes may be added to a response at any time.
"""
_TAGS = {
    "videos": "Videos",
    "uploads": "Uploads in parts, and in one request",
    "jobs": "Jobs, their progress and their cost",
    "watching": "What players need",
    "editing": "Captions and chapters that people add",
    "sharing": "Share links",
    "webhooks": "Endpoints of webhooks",
}
_NOT_PATCHED = ("SERVE_", "DEFAULT_GENERATOR_CLASS")
"""Settings that drf-spectacular refuses to patch. They do not change a document."""
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="Any text of 1 to 255 visible characters, a new one for each thing that is to be created.",
)
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag as it was read: 412 if the video has changed."
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="An ETag: 304 if the video has not changed."
)
PAGE = [
    OpenApiParameter("cursor", str, description="From `next` or `previous`."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
]


def described(
    operation_id: str, *, responses: Any, request: Any = None, parameters: Sequence[OpenApiParameter] = ()
) -> Callable[[Method], Method]:
    """Describe one operation.

    Other than drf-spectacular's `extend_schema`, it does not need the site's DEFAULT_SCHEMA_CLASS to be
    drf-spectacular's.
    """

    def mark(method: Method) -> Method:
        method.described = {  # type: ignore[attr-defined]  # read by ApiSchema
            "operation_id": operation_id,
            "responses": responses,
            "request": request,
            "parameters": list(parameters),
        }
        return method

    return mark


class ApiSchema(AutoSchema):
    """Describes one operation by its docstring, `described`, and the `tag` of its view."""

    def _described(self, name: str) -> Any:
        return getattr(self.view, self.method.lower()).described[name]

    def get_operation_id(self) -> str:
        """Return the operation's name."""
        return str(self._described("operation_id"))

    def get_override_parameters(self) -> list[Any]:
        """Return the headers and the query parameters."""
        found: list[Any] = self._described("parameters")
        return found

    def get_request_serializer(self) -> Any:
        """Return the shape of the request, or None."""
        return self._described("request")

    def get_response_serializers(self) -> Any:
        """Return the shapes of the responses, and that of problems for all other statuses."""
        found = self._described("responses")
        return {**(found if isinstance(found, dict) else {200: found}), ("default", CONTENT_TYPE): Problem}

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Return the name of a shape without what its class has for readers of the code."""
        name = str(super().get_serializer_name(serializer, direction))
        return name.removesuffix("Shown").removesuffix("Entered").removesuffix("Changed")

    def get_tags(self) -> list[str]:
        """Return the view's tag."""
        return [self.view.tag]  # type: ignore[attr-defined]  # of our views

    def get_auth(self) -> list[dict[str, list[str]]]:
        """Return the ways to sign in by default. A site may have others."""
        return [{"token": []}, {"session": []}]

    def get_summary(self) -> str | None:
        """Return the first line of the method's docstring."""
        text = str(super().get_description() or "")
        return text.partition("\n")[0].rstrip(".") or None

    def get_description(self) -> str:  # type: ignore[override]
        """Return the rest of it."""
        return str(super().get_description() or "").partition("\n")[2].strip()


def document(patterns: Any, server: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these URL patterns, which are below `server`."""
    own = {
        # Not the site's: its licence or security schemes are those of its own API.
        **{name: value for name, value in SPECTACULAR_DEFAULTS.items() if not name.startswith(_NOT_PATCHED)},
        "OAS_VERSION": "3.1.0",
        "TITLE": "Batchreel",
        "DESCRIPTION": DESCRIPTION,
        "VERSION": __version__,
        "SERVERS": [{"url": server}],
        "TAGS": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "POSTPROCESSING_HOOKS": [],
        "PREPROCESSING_HOOKS": [],
        "SCHEMA_PATH_PREFIX": "",
        "SCHEMA_PATH_PREFIX_TRIM": False,
        "SCHEMA_PATH_PREFIX_INSERT": "",
        "COMPONENT_SPLIT_REQUEST": True,
        "COMPONENT_SPLIT_PATCH": True,
        "COMPONENT_NO_READ_ONLY_REQUIRED": False,
        "SORT_OPERATIONS": False,
        "SORT_OPERATION_PARAMETERS": True,
        "PARSER_WHITELIST": None,
        "RENDERER_WHITELIST": None,
        "CAMELIZE_NAMES": False,
        "APPEND_PATHS": {},
        "APPEND_COMPONENTS": {
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Authorization: Token ...`",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            }
        },
    }
    with override(None), patched_settings(own), GENERATOR_STATS.silence():
        generator: Any = SchemaGenerator
        found: dict[str, Any] = generator(patterns=patterns).get_schema(request=None, public=True)
    return _strict(found)


def _strict(found: dict[str, Any]) -> dict[str, Any]:
    """State that unknown names are refused."""
    for name, schema in found["components"]["schemas"].items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
    return found
