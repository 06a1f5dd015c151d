"""Broker checks: Redis is reachable, does not evict messages, and workers consume the queues."""

from __future__ import annotations

import json
import os
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kombu.exceptions import OperationalError
from redis import Redis, RedisError
from redis.sentinel import MasterNotFoundError

from ...broker.client import broker_connection, redis_client, uses_redis
from ...schedule.ticks import QUEUES
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kombu import Connection

    from ..finding import Finding

_TIMEOUT_S = 3.0

MINIMUM_VERSION = (6, 2)
"""The oldest Redis version that the stack is tested with."""

DEFAULT_SENTINEL_PORT = 26379

WAITING_LIMIT = 50
"""Messages in one queue.

A worker drops the messages of ticks that have expired, and one that is busy with a tick for its 25 s at most leaves a
dozen. Many uploads within seconds leave more wake-ups, but only for seconds.
"""

_READ_LIMIT = 500
"""The newest messages of one queue that are read to find out whether beat sends a tick."""

_FIXES = {
    "Hostname mismatch": "Use the host name of the server's certificate in REDIS_URL.",
    "IP address mismatch": "Use the host name of the server's certificate in REDIS_URL.",
    "CERTIFICATE_VERIFY_FAILED": "Set REDIS_CA_FILE to the certificate of the authority that signed the server's.",
    "Authentication required": "Set the password in REDIS_URL, and that of the sentinels in REDIS_SENTINEL_PASSWORD.",
    "invalid username-password pair": "Correct the password in REDIS_URL, and that of the sentinels in REDIS_SENTINEL_PASSWORD.",
}
"""Part of an error's text -> fix."""


def check_broker() -> Iterator[Finding]:
    """Yield one finding for the server and one for the waiting messages."""
    try:
        connection = broker_connection(timeout_s=_TIMEOUT_S)
        if not uses_redis(connection):
            yield _other(connection)
            return
        about, waiting, route = _ask(connection, sorted(QUEUES))
    except MasterNotFoundError:
        yield _no_master(connection)
        return
    except (RedisError, OSError) as error:
        yield failed("broker", f"Redis is unavailable: {error}", fix=_fix(str(error), uses_tls=bool(connection.ssl)))
        return
    except Exception as error:  # noqa: BLE001 - kombu raises many kinds for settings that it cannot use
        # Without the text, which may contain part of a password.
        yield failed(
            "broker",
            f"Celery cannot use the broker's settings ({type(error).__name__}).",
            fix="Run `manage.py check`, and correct what it names.",
        )
        return
    yield _server(about, route)
    yield from _waiting(waiting)


class WaitingTask(NamedTuple):
    """The messages of one task in its queue: how many, and whether the newest has not expired yet."""

    messages: int
    is_fresh: bool


def waiting_tasks() -> dict[str, WaitingTask]:
    """Return what waits in the queues by the name of its task: the newest 500 messages of each queue.

    Empty if the broker is not Redis or does not respond, which its own check reports.
    """
    found: dict[str, WaitingTask] = {}
    with suppress(Exception):  # kombu raises many kinds for settings that it cannot use
        connection = broker_connection(timeout_s=_TIMEOUT_S)
        if uses_redis(connection):
            with redis_client(connection) as client:
                # kombu's client adds the prefix to the keys of the commands that kombu uses, and of no other.
                prefix = (connection.transport_options or {}).get("global_keyprefix", "")
                plain: Any = Redis(connection_pool=client.connection_pool)
                for queue in QUEUES:
                    for message in plain.lrange(f"{prefix}{queue}", 0, _READ_LIMIT - 1):
                        _count(message, found)
    return found


def _count(message: bytes, found: dict[str, WaitingTask]) -> None:
    """Add a message as kombu writes it. Leave out what is none."""
    with suppress(ValueError, TypeError, KeyError):
        headers = json.loads(message)["headers"]
        before = found.get(headers["task"], WaitingTask(0, is_fresh=False))
        expires = headers.get("expires")
        is_fresh = expires is not None and datetime.fromisoformat(expires) > datetime.now(UTC)
        found[headers["task"]] = WaitingTask(before.messages + 1, before.is_fresh or is_fresh)


def _ask(connection: Connection, queues: list[str]) -> tuple[dict[str, Any], dict[str, int], str]:
    """Return what the server reports about itself, the messages in each queue, and how the server was reached."""
    with redis_client(connection) as client:
        waiting = {queue: client.llen(queue) for queue in queues}
        return client.info(), waiting, _route(client, connection.ssl)


def celery_command() -> str:
    """Return how to start a program of the site's Celery application, by convention in the package of the settings."""
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0] or "YOUR_SITE"
    return f"celery -A {module}"


def _other(connection: Connection) -> Finding:
    """Connect to a broker other than Redis, and return whether that works."""
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=int(_TIMEOUT_S))
    except (OperationalError, OSError) as error:
        fix = "Check CELERY_BROKER_URL, and that the server is running."
        return failed("broker", f"The broker, {connection.transport_cls}, is unavailable: {error}", fix=fix)
    return ok("broker", f"The broker, {connection.transport_cls}, is reachable. Its messages cannot be counted.")


def _no_master(connection: Connection) -> Finding:
    """Return why no sentinel names a master, which the error of redis-py does not contain."""
    options: dict[str, Any] = connection.transport_options or {}
    causes = []
    for url in connection.alt or [connection.as_uri()]:
        parts = urlsplit(url)
        address = (parts.hostname or "127.0.0.1", parts.port or DEFAULT_SENTINEL_PORT)
        try:
            with Redis(*address, **(options.get("sentinel_kwargs") or {})) as sentinel:
                sentinel.ping()
        except (RedisError, OSError) as error:
            causes.append(f"{address[0]}:{address[1]}: {error}")
    name = options.get("master_name")
    why = f"No sentinel has a master {name}. {' '.join(causes)}".strip()
    fix = "Set REDIS_SENTINEL_MASTER to the name in the sentinels' configuration, and check that the master is running."
    return failed("broker", why, fix=_fix(why, uses_tls=bool(connection.ssl)) if causes else fix)


def _fix(why: str, *, uses_tls: bool) -> str:
    tls = "that it uses TLS on this port" if uses_tls else "whether it requires TLS (rediss://)"
    return next(
        (fix for text, fix in _FIXES.items() if text in why), f"Check REDIS_URL, that the server is running, and {tls}."
    )


def _route(client: Any, use_ssl: Any) -> str:
    """Return how the server was reached, as a part of a message."""
    master = getattr(client.connection_pool, "master_address", None)
    parts = [f"as the sentinels' master {master[0]}:{master[1]}"] if master else []
    if isinstance(use_ssl, dict):
        unchecked = use_ssl.get("ssl_cert_reqs", "required") in {None, "none", ssl.CERT_NONE}
        parts.append(
            "over TLS without a check of the certificate" if unchecked else "over TLS with a checked certificate"
        )
    return "".join(f" {part}" for part in parts)


def _server(about: dict[str, Any], route: str) -> Finding:
    version, policy = str(about["redis_version"]), about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return failed(
            "broker",
            f"Redis {version} has maxmemory-policy {policy}: when memory runs low it evicts queues.",
            fix="Set maxmemory-policy to noeviction, and use a separate Redis for Celery.",
        )
    if tuple(int(number) for number in version.split(".")[:2]) < MINIMUM_VERSION:
        return warning("broker", f"Redis {version} is old.", fix="Use Redis 7 or newer.")
    return ok("broker", f"Redis {version} is reachable{route}, with maxmemory-policy noeviction.")


def _waiting(waiting: dict[str, int]) -> Iterator[Finding]:
    full = {queue: count for queue, count in waiting.items() if count > WAITING_LIMIT}
    if full:
        counts = ", ".join(f"{count} in {queue}" for queue, count in full.items())
        yield warning(
            "messages",
            f"No worker seems to consume them: {counts} are waiting.",
            fix=f"Start a Celery worker for these queues: `{celery_command()} worker -Q {','.join(full)}`.",
        )
    else:
        yield ok("messages", f"{sum(waiting.values())} waiting in {', '.join(waiting)}.")
