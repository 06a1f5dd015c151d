"""Looks at the broker: does Redis answer, would it throw messages away, does anybody take them?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings

from tasks.doctor.finding import unwell, warning, well
from tasks.schedule import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.doctor.finding import Finding

_TIMEOUT_S = 3.0

LEAST_VERSION = (6, 2)
"""The oldest Redis that the stack is tested with."""

WAITING_LIMIT = 500
"""Messages in one queue. Four beat entries whose messages expire after one period never come near it."""


def look_at_broker() -> Iterator[Finding]:
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
        yield unwell("broker", f"Redis does not answer: {error}", mend="Check REDIS_URL, and that the server runs.")
        return
    finally:
        client.close()
    yield _server(about)
    yield from _waiting(waiting)


def _server(about: dict[str, Any]) -> Finding:
    version, policy = str(about["redis_version"]), about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return unwell(
            "broker",
            f"Redis {version} has maxmemory-policy {policy}: under pressure it throws queues away.",
            mend="Set maxmemory-policy to noeviction, and give Celery a Redis of its own.",
        )
    if tuple(int(number) for number in version.split(".")[:2]) < LEAST_VERSION:
        return warning("broker", f"Redis {version} is old.", mend="Use Redis 7 or newer.")
    return well("broker", f"Redis {version} answers, with noeviction.")


def _waiting(waiting: dict[str, int]) -> Iterator[Finding]:
    full = {queue: count for queue, count in waiting.items() if count > WAITING_LIMIT}
    if full:
        counts = ", ".join(f"{count} in {queue}" for queue, count in full.items())
        yield warning(
            "messages", f"Nobody seems to take them: {counts}.", mend="Start Celery workers for these queues."
        )
    else:
        yield well("messages", f"{sum(waiting.values())} wait in {', '.join(waiting)}.")
