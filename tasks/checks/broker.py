"""System checks of the broker of the site's Celery application: its URL, TLS, Sentinel and time limits."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from redis import RedisError, SSLConnection

from ..broker.app import celery_app
from ..broker.client import uses_redis
from ..schedule.ticks import TIME_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kombu import Connection

VISIBILITY_TIMEOUT_S = 3600
"""kombu's default, in seconds."""


def check_broker() -> Iterator[CheckMessage]:
    """Check that the broker can be used, and safely. Opens no connection."""
    conf = celery_app().conf
    try:
        # It only reads the URL as Celery will.
        connection = celery_app().connection_for_write()
        is_usable = bool(conf.broker_write_url) and bool(connection.transport_cls)
        is_redis = uses_redis(connection)
        is_usable = is_usable and (not is_redis or _is_database(connection.virtual_host))
        connection.get_transport_cls()
    except Exception:  # noqa: BLE001 - kombu raises many kinds, with texts that may contain part of a password
        is_usable = is_redis = False
    if not is_usable:
        yield Error(
            "Celery cannot use the broker's URL (CELERY_BROKER_URL), or no Celery application is loaded.",
            hint="Set REDIS_URL to redis://:password@host:6379/0, with rediss:// for TLS, or sentinel://host:26379 for"
            " Redis Sentinel. Percent-encode special characters of the password. On your own site, import the Celery"
            " application in the project's __init__.py.",
            id="batchreel.E040",
        )
    elif is_redis:
        yield from _redis(connection)
    else:
        yield Warning(
            f"The broker is {connection.transport_cls}, which Batchreel is not tested with: the doctor and the metrics"
            " cannot count its messages.",
            hint="Use Redis, or ignore this warning: no result depends on a message, because the ticks find all work in"
            " the rows.",
            id="batchreel.W045",
        )


def _redis(connection: Connection) -> Iterator[CheckMessage]:
    options = _transport()
    if connection.transport_cls == "sentinel" and not options.get("master_name"):
        yield Error(
            "The broker's URL leads to Redis Sentinel, but no master is named, so Celery could not connect.",
            hint="Set REDIS_SENTINEL_MASTER, or `master_name` in CELERY_BROKER_TRANSPORT_OPTIONS, to the name that follows"
            " `sentinel monitor` in the sentinels' configuration.",
            id="batchreel.E041",
        )
    sentinel = options.get("sentinel_kwargs")
    for name, used in (
        ("Redis", connection.ssl),
        ("the sentinels", sentinel if sentinel and sentinel.get("ssl") else None),
    ):
        if used:
            yield from _tls(name, used)
    yield from _waits("broker", options, "CELERY_BROKER_TRANSPORT_OPTIONS")
    if sentinel is not None:
        yield from _waits("sentinels", sentinel, "CELERY_BROKER_TRANSPORT_OPTIONS['sentinel_kwargs']")
    visibility_s = options.get("visibility_timeout", VISIBILITY_TIMEOUT_S)
    if visibility_s <= TIME_LIMIT_S:
        yield Warning(
            f"The broker's visibility_timeout ({visibility_s:g}) is not more than the time limit of ticks ({TIME_LIMIT_S} s),"
            " so a tick is delivered again while it runs. The second one finds the first one's lease, and ends.",
            hint="Set CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] to more than your longest task takes.",
            id="batchreel.W021",
        )


def _waits(server: str, options: dict[str, Any], setting: str) -> Iterator[CheckMessage]:
    for name in ("socket_timeout", "socket_connect_timeout"):
        if not options.get(name):
            yield Warning(
                f"The {server}'s {name} is not set, so a worker or beat could wait forever for a server that does not answer."
                " Web requests do not: they have broker_timeout_s.",
                hint=f"Set {setting}['{name}'] to 5 or less.",
                id="batchreel.W026",
            )


def _transport() -> dict[str, Any]:
    return dict(celery_app().conf.broker_transport_options or {})


def _is_database(virtual_host: str | None) -> bool:
    number = str(virtual_host or "").strip("/")
    return not number or number.isdecimal()


def _tls(server: str, options: Any) -> Iterator[CheckMessage]:
    """Check redis-py's options for a connection to `server`."""
    try:
        if not isinstance(options, dict):
            message = f"kombu ignores {options!r}, which is not a dictionary, and connects without TLS"
            raise TypeError(message)  # noqa: TRY301 - one of several faults with one message
        tls = SSLConnection(**{name: value for name, value in options.items() if name.startswith("ssl_")})
        ssl.create_default_context(cafile=tls.ca_certs, capath=tls.ca_path, cadata=tls.ca_data)
    except (TypeError, ValueError, OSError, RedisError) as error:
        yield Error(
            f"The TLS options of the connection to {server} cannot be used: {error}.",
            hint="Set REDIS_CA_FILE to a readable file with PEM certificates; on your own site, CELERY_BROKER_USE_SSL to a"
            " dictionary of redis-py's options. Correct the `ssl_...` options in REDIS_URL.",
            id="batchreel.E042",
        )
        return
    if tls.cert_reqs == ssl.CERT_NONE:
        yield Error(
            f"The connection to {server} uses TLS without checking the certificate, so anyone on the way can read and change"
            " messages.",
            hint="Remove `ssl_cert_reqs` from REDIS_URL, and set REDIS_CA_FILE if a private authority signed the certificate;"
            " on your own site, set CELERY_BROKER_USE_SSL to {'ssl_cert_reqs': 'required'}.",
            id="batchreel.E043",
        )
    elif not tls.check_hostname:
        yield Warning(
            f"The connection to {server} accepts a certificate for any host name.",
            hint="Remove `ssl_check_hostname` from REDIS_URL, and use the host name of the certificate.",
            id="batchreel.W044",
        )
