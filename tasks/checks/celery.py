"""System checks of Celery's settings and of the beat entries.

See tasks/checks/bridge.py for the bridge's own settings.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import connection as database
from kombu import Connection
from redis import RedisError, SSLConnection

from ..schedule.ticks import ENTRY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIGKILL_GRACE_S = 30
"""Seconds between SIGTERM and SIGKILL, by default, on ECS, Kubernetes and Heroku. A Celery task
must end within them."""

VISIBILITY_TIMEOUT_FACTOR = 4
"""Factor between task time limit and visibility timeout.

Redis redelivers a message after its visibility timeout, even while the Celery task is running.
"""

REDIS_TRANSPORTS = frozenset({"redis", "rediss", "sentinel"})
"""Names of kombu's transports for Redis. The bridge uses no other broker."""

DATABASE_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"


@register("batchreel")
def check_celery(**_: Any) -> list[CheckMessage]:
    """Check Celery's settings."""
    return [*_time_limits(), *_delivery(), *_broker(), *_broker_url(), *_beat()]


@register(Tags.database)
def check_beat_rows(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check our rows in django-celery-beat's tables.

    Runs with `check --database default` and on migrate.
    """
    return list(_beat_rows()) if databases and "default" in databases else []


def _time_limits() -> Iterator[CheckMessage]:
    limit_s = getattr(settings, "CELERY_TASK_TIME_LIMIT", None)
    if not limit_s:
        yield Error(
            "CELERY_TASK_TIME_LIMIT is not set, so a Celery task that hangs would occupy its worker forever.",
            hint="Set it to 25.",
            id="batchreel.E020",
        )
        return
    if limit_s >= SIGKILL_GRACE_S:
        yield Error(
            f"CELERY_TASK_TIME_LIMIT ({limit_s:g}) is not less than the {SIGKILL_GRACE_S} s between SIGTERM and SIGKILL.",
            hint="Set it to 25.",
            id="batchreel.E020",
        )
    visibility_s = _transport().get("visibility_timeout", 3600)
    if visibility_s < VISIBILITY_TIMEOUT_FACTOR * limit_s:
        yield Error(
            f"The broker's visibility_timeout ({visibility_s:g}) is less than {VISIBILITY_TIMEOUT_FACTOR} x"
            f" CELERY_TASK_TIME_LIMIT ({limit_s:g}), so messages could be redelivered while their tasks run.",
            hint="Set CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] to"
            f" {VISIBILITY_TIMEOUT_FACTOR * limit_s:g} or more.",
            id="batchreel.E021",
        )


def _delivery() -> Iterator[CheckMessage]:
    if getattr(settings, "CELERY_RESULT_BACKEND", None):
        yield Error(
            "CELERY_RESULT_BACKEND is set, so sending a wake-up may hang for 20 s while that backend is unavailable.",
            hint="Remove it. The bridge stores all results in its own tables.",
            id="batchreel.E022",
        )
    if getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False):
        yield Error(
            "CELERY_TASK_ALWAYS_EAGER is on, so web requests would submit jobs themselves.",
            hint="Remove it. Tests can run a real Celery worker.",
            id="batchreel.E023",
        )
    if not getattr(settings, "CELERY_TASK_ACKS_LATE", False):
        yield Error(
            "CELERY_TASK_ACKS_LATE is off, so the message of a Celery worker that is killed would be lost.",
            hint="Set it to True. All Celery tasks of the bridge are idempotent.",
            id="batchreel.E024",
        )
    if getattr(settings, "CELERY_TASK_REJECT_ON_WORKER_LOST", False):
        yield Error(
            "CELERY_TASK_REJECT_ON_WORKER_LOST is on, so a message that kills its Celery worker would be redelivered forever.",
            hint="Set it to False. The next tick does the work.",
            id="batchreel.E025",
        )


def _broker() -> Iterator[CheckMessage]:
    for name in ("socket_timeout", "socket_connect_timeout"):
        if not _transport().get(name):
            yield Error(
                f"The broker's {name} is not set, so a web request could wait forever for a Redis that does not answer.",
                hint=f"Set CELERY_BROKER_TRANSPORT_OPTIONS['{name}'] to 2 or less.",
                id="batchreel.E026",
            )
    sentinel = _transport().get("sentinel_kwargs")
    for name in ("socket_timeout", "socket_connect_timeout"):
        if sentinel is not None and not sentinel.get(name):
            yield Error(
                f"The sentinels' {name} is not set, so a web request could wait forever for one that does not answer.",
                hint=f"Set CELERY_BROKER_TRANSPORT_OPTIONS['sentinel_kwargs']['{name}'] to 2 or less.",
                id="batchreel.E026",
            )


def _broker_url() -> Iterator[CheckMessage]:
    url, use_ssl = getattr(settings, "CELERY_BROKER_URL", ""), getattr(settings, "CELERY_BROKER_USE_SSL", False)
    try:
        # Opens no connection: it only reads the URL as Celery will.
        connection = Connection(url, ssl=use_ssl, transport_options=_transport())
        usable = connection.transport_cls in REDIS_TRANSPORTS and _is_database(connection.virtual_host)
    except Exception:  # noqa: BLE001 - kombu raises many kinds, with texts that may contain part of a password
        usable = False
    if not usable:
        yield Error(
            "Celery cannot use CELERY_BROKER_URL.",
            hint="Set REDIS_URL to redis://:password@host:6379/0, with rediss:// for TLS, or sentinel://host:26379 for"
            " Redis Sentinel. Percent-encode special characters of the password.",
            id="batchreel.E040",
        )
        return
    if connection.transport_cls == "sentinel" and not _transport().get("master_name"):
        yield Error(
            "CELERY_BROKER_URL leads to Redis Sentinel, but no master is named, so Celery could not connect.",
            hint="Set REDIS_SENTINEL_MASTER, or `master_name` in CELERY_BROKER_TRANSPORT_OPTIONS, to the name that follows"
            " `sentinel monitor` in the sentinels' configuration.",
            id="batchreel.E041",
        )
    sentinel = _transport().get("sentinel_kwargs") or {}
    for name, options in (("Redis", connection.ssl), ("the sentinels", sentinel if sentinel.get("ssl") else None)):
        if options:
            yield from _tls(name, options)


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


def _beat() -> Iterator[CheckMessage]:
    scheduler = getattr(settings, "CELERY_BEAT_SCHEDULER", "")
    if scheduler != DATABASE_SCHEDULER:
        yield Error(
            f"CELERY_BEAT_SCHEDULER is {scheduler!r}, but the beat entries are rows that only django-celery-beat reads.",
            hint=f"Set it to {DATABASE_SCHEDULER!r}.",
            id="batchreel.E027",
        )
    for name, entry in (getattr(settings, "CELERY_BEAT_SCHEDULE", None) or {}).items():
        options = entry.get("options", {})
        # findings/celery-beat-database-scheduler-drops-expires.sh
        if "expires" in options or "expire_seconds" not in options:
            yield Error(
                _expiry_text(name),
                hint="Give it the option `expire_seconds`, equal to its period, and no `expires`.",
                id="batchreel.E028",
            )


def _beat_rows() -> Iterator[CheckMessage]:
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 - models exist only once the apps are ready

    if PeriodicTask._meta.db_table not in database.introspection.table_names():  # noqa: SLF001 - documented API
        return
    for row in PeriodicTask.objects.filter(name__startswith=ENTRY_PREFIX, enabled=True).order_by("name"):
        if row.expires is not None or row.expire_seconds is None:
            yield Warning(_expiry_text(row.name), hint="Run `manage.py sync_schedule`.", id="batchreel.W028")


def _expiry_text(name: str) -> str:
    return f"The beat entry {name!r} has `expires`, which the scheduler drops, or no `expire_seconds`, so ticks would pile up."


def _transport() -> dict[str, Any]:
    return dict(getattr(settings, "CELERY_BROKER_TRANSPORT_OPTIONS", None) or {})
