"""Looks at the broker: does Redis answer, would it throw messages away, does anybody take them?"""

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

LEAST_VERSION = (6, 2)
"""The oldest Redis that the stack is tested with."""

WAITING_LIMIT = 500
"""Messages in one queue. Four beat entries whose messages expire after one period never come near it."""


def check_broker() -> Iterator[Finding]:
    """One finding for the server, one for the messages that wait."""
    client: Any = redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S
    )
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    queues = sorted({route["queue"] for route in ROUTES.values()})
    try:
        about = client.info()
        waiting = {queue: client.llen(prefix + queue) for queue in queues}
    except redis.RedisError as error:
        yield failed("broker", f"Redis does not answer: {error}", fix="Check REDIS_URL, and that the server runs.")
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
            f"Redis {version} has maxmemory-policy {policy}: under pressure it throws queues away.",
            fix="Set maxmemory-policy to noeviction, and give Celery a Redis of its own.",
        )
    if tuple(int(number) for number in version.split(".")[:2]) < LEAST_VERSION:
        return warning("broker", f"Redis {version} is old.", fix="Use Redis 7 or newer.")
    return ok("broker", f"Redis {version} answers, with noeviction.")


def _waiting(waiting: dict[str, int]) -> Iterator[Finding]:
    full = {queue: count for queue, count in waiting.items() if count > WAITING_LIMIT}
    if full:
        counts = ", ".join(f"{count} in {queue}" for queue, count in full.items())
        yield warning("messages", f"Nobody seems to take them: {counts}.", fix="Start Celery workers for these queues.")
    else:
        yield ok("messages", f"{sum(waiting.values())} wait in {', '.join(waiting)}.")
