"""How many messages wait in the queues of Redis."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings

from ..schedule.ticks import QUEUES
from .definitions import BROKER_MESSAGES, BROKER_UP
from .readings import Readings

_TIMEOUT_S = 1.0
"""Seconds to connect, and for each response: Prometheus waits 10 s for all metrics."""


def read_broker() -> Readings:
    """Return the length of each queue. If Redis cannot be reached, only that it is not up."""
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    try:
        client: Any = redis.Redis.from_url(
            settings.CELERY_BROKER_URL,
            socket_connect_timeout=_TIMEOUT_S,
            socket_timeout=_TIMEOUT_S,
            # Celery's TLS options have the names that redis-py expects.
            **(getattr(settings, "CELERY_BROKER_USE_SSL", None) or {}),
        )
    except ValueError:  # another kind of broker, such as Sentinel
        return {}
    try:
        with client.pipeline(transaction=False) as pipeline:
            for queue in QUEUES:
                pipeline.llen(prefix + queue)
            lengths = pipeline.execute()
    except redis.RedisError:
        return {BROKER_UP: {(): 0.0}}
    finally:
        client.close()
    return {
        BROKER_UP: {(): 1.0},
        BROKER_MESSAGES: {(queue,): float(length) for queue, length in zip(QUEUES, lengths, strict=True)},
    }
