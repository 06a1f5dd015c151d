"""System checks of the settings by which a web process resists large bodies."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

from ..conf import bridge_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = f"{__package__.rpartition('.')[0]}.views.body_limit.BodyLimitMiddleware"
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@register("batchreel")
def check_bodies(**_: Any) -> list[CheckMessage]:
    """Check that large bodies are refused before anything reads them, and small ones stay in memory."""
    try:
        return [*_middleware(), *_memory()]
    except (ImproperlyConfigured, TypeError):
        # check_bridge reports settings that are invalid.
        return []


def _middleware() -> Iterator[CheckMessage]:
    places = {name: place for place, name in enumerate(settings.MIDDLEWARE)}
    if _LIMIT not in places:
        yield Warning(
            "BodyLimitMiddleware is not in MIDDLEWARE, so anyone can fill the disk of a web process with a large request.",
            hint=f"Add {_LIMIT!r} after AuthenticationMiddleware.",
            id="batchreel.W050",
        )
    elif places[_LIMIT] < places.get(_AUTHENTICATION, 0):
        yield Error(
            "BodyLimitMiddleware is before AuthenticationMiddleware in MIDDLEWARE, so it cannot see who is signed in.",
            hint=f"Move {_LIMIT!r} after {_AUTHENTICATION!r}.",
            id="batchreel.E051",
        )


@register("batchreel")
def check_metrics(**_: Any) -> list[CheckMessage]:
    """Check that the page for Prometheus, if it is switched on, has the package that writes it."""
    if not getattr(settings, "METRICS_TOKEN", "") or find_spec("prometheus_client") is not None:
        return []
    text = "METRICS_TOKEN is set, but prometheus-client is not installed, so the page `metrics` responds with 503."
    return [Warning(text, hint="Run `pip install 'batchreel[metrics]'`.", id="batchreel.W055")]


def _memory() -> Iterator[CheckMessage]:
    limit_bytes = bridge_settings().body_limit_bytes
    if limit_bytes > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
        yield Warning(
            f"body_limit_bytes ({limit_bytes}) is more than FILE_UPLOAD_MAX_MEMORY_SIZE"
            f" ({settings.FILE_UPLOAD_MAX_MEMORY_SIZE}), so Django stores files that anyone sends on disk.",
            hint="Lower body_limit_bytes in BATCHREEL or raise FILE_UPLOAD_MAX_MEMORY_SIZE.",
            id="batchreel.W052",
        )
