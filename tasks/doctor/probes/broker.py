"""Broker checks: Redis is reachable, does not evict messages, and workers consume the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings

from ...schedule.ticks import ROUTES
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_TIMEOUT_S = 3.0

MINIMUM_VERSION = (6, 2)
"""The oldest Redis version that the stack is tested with."""

WAITING_LIMIT = 500
"""Messages in one queue.

Four beat entries whose messages expire after one period never get close to it.
"""


def check_broker() -> Iterator[Finding]:
    """Yield one finding for the server and one for the waiting messages."""
    client: Any = redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S
    )
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    queues = sorted({route["queue"] for route in ROUTES.values()})
    try:
        about = client.info()
        waiting = {queue: client.llen(prefix + queue) for queue in queues}
    except redis.RedisError as error:
        yield failed("broker", f"Redis is unavailable: {error}", fix="Check REDIS_URL, and that the server is running.")
        return
    finally:
        client.close()
    yield _server(about)
    yield from _waiting(waiting)


def _server(about: dict[str, Any]) -> Finding:
    version, policy = str(about["redis_version"]), about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return failed(
            "broker",
            f"Redis {version} has maxmemory-policy {policy}: when memory runs low it evicts queues.",
            fix="Set maxmemory-policy to noeviction, and use a separate Redis for Celery.",
        )
    if tuple(int(number) for number in version.split(".")[:2]) < MINIMUM_VERSION:
        return warning("broker", f"Redis {version} is old.", fix="Use Redis 7 or newer.")
    return ok("broker", f"Redis {version} is reachable, with maxmemory-policy noeviction.")


def _waiting(waiting: dict[str, int]) -> Iterator[Finding]:
    full = {queue: count for queue, count in waiting.items() if count > WAITING_LIMIT}
    if full:
        counts = ", ".join(f"{count} in {queue}" for queue, count in full.items())
        yield warning(
            "messages", f"No worker seems to consume them: {counts}.", fix="Start Celery workers for these queues."
        )
    else:
        yield ok("messages", f"{sum(waiting.values())} waiting in {', '.join(waiting)}.")
