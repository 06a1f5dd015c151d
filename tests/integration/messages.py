"""The messages in the broker, as they lie there."""

from __future__ import annotations

import json
import os
from typing import Any

from redis import Redis

from project.celery import app as celery_app
from tests.integration.celery_nodes import QUEUES

_PREFIX = celery_app.conf.broker_transport_options["global_keyprefix"]


def broker(url: str | None = None) -> Redis[bytes]:
    """A client of the broker at `url`: by default, that of this test run."""
    return Redis.from_url(url or os.environ["REDIS_URL"])


def waiting_messages(url: str | None = None) -> list[dict[str, Any]]:
    """Every message that lies in a queue, as kombu wrote it."""
    with broker(url) as redis:
        return [json.loads(each) for name in QUEUES.split(",") for each in redis.lrange(f"{_PREFIX}{name}", 0, -1)]


def held_messages(url: str | None = None) -> int:
    """How many messages a worker has fetched and not acknowledged."""
    with broker(url) as redis:
        return int(redis.hlen(f"{_PREFIX}unacked"))


def put_raw(queue: str, message: bytes) -> None:
    """Put these bytes into a queue, whatever they are."""
    with broker() as redis:
        redis.lpush(f"{_PREFIX}{queue}", message)


def forget_messages() -> None:
    """Remove what was left for a worker, in its queues and in the hands of a worker that was killed."""
    with broker() as redis:
        redis.delete(*(f"{_PREFIX}{name}" for name in (*QUEUES.split(","), "unacked", "unacked_index")))
