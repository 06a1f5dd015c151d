"""System checks of the settings of the web processes: large bodies, and signatures for a CDN."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

from .. import APP
from ..conf import bridge_settings
from ..storage.cdn import read_key, signing_key

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = f"{APP}.views.body_limit.BodyLimitMiddleware"
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@register("batchreel")
def check_bodies(**_: Any) -> list[CheckMessage]:
    """Check that large bodies are refused before anything reads them, and small ones stay in memory."""
    try:
        return [*_middleware(), *_memory()]
    except (ImproperlyConfigured, TypeError):
        # check_bridge reports settings that are invalid.
        return []


@register("batchreel")
def check_cdn(**_: Any) -> list[CheckMessage]:
    """Check that the key for a CDN's signed cookies is complete and can sign."""
    try:
        conf, key = bridge_settings(), signing_key()
    except (ImproperlyConfigured, AttributeError):  # reported as E001
        return []
    if not conf.cdn_key_pair_id and not conf.cdn_private_key:
        return []
    if key is None:
        needed = ("media_base_url", "cdn_key_pair_id", "cdn_private_key")
        missing = [name.upper() for name in needed if not getattr(conf, name)]
        return [
            Error(
                f"Signed cookies for the CDN need {', '.join(missing)}, so none are set.",
                hint="Set all of MEDIA_BASE_URL, CDN_KEY_PAIR_ID and CDN_PRIVATE_KEY, or neither of the last two.",
                id="batchreel.E054",
            )
        ]
    try:
        read_key(key.pem)
    except ValueError:
        # The text of the error may quote the key.
        return [
            Error(
                "CDN_PRIVATE_KEY is not an RSA private key in PEM format without a password.",
                hint="Make one with: openssl genrsa 2048",
                id="batchreel.E055",
            )
        ]
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
    try:
        is_on = bool(bridge_settings().metrics_token)
    except ImproperlyConfigured:  # reported as E001
        return []
    if not is_on or find_spec("prometheus_client") is not None:
        return []
    text = "METRICS_TOKEN is set, but prometheus-client is not installed, so the page `metrics` responds with 503."
    return [Warning(text, hint="Run `pip install 'batchreel[metrics]'`.", id="batchreel.W056")]


def _memory() -> Iterator[CheckMessage]:
    limit_bytes = bridge_settings().body_limit_bytes
    if limit_bytes > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
        yield Warning(
            f"body_limit_bytes ({limit_bytes}) is more than FILE_UPLOAD_MAX_MEMORY_SIZE"
            f" ({settings.FILE_UPLOAD_MAX_MEMORY_SIZE}), so Django stores files that anyone sends on disk.",
            hint="Lower body_limit_bytes in BATCHREEL or raise FILE_UPLOAD_MAX_MEMORY_SIZE.",
            id="batchreel.W052",
        )
