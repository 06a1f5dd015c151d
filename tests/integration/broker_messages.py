"""The messages in the broker, as they lie there."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from redis import Redis

from project.celery import app as celery_app
from tests.integration.celery_nodes import QUEUES
from tests.wakeup_broker import wakeups_go_to

_PREFIX = celery_app.conf.broker_transport_options["global_keyprefix"]


def broker(url: str | None = None) -> Redis[bytes]:
    """A client of the broker at `url`: by default, that of this test run."""
    return Redis.from_url(url or os.environ["REDIS_URL"])


def waiting_messages(url: str | None = None) -> list[dict[str, Any]]:
    """Every message that lies in a queue, as kombu wrote it."""
    with broker(url) as redis:
        return [json.loads(each) for name in QUEUES.split(",") for each in redis.lrange(f"{_PREFIX}{name}", 0, -1)]


def waiting_count() -> int:
    """How many messages lie in the queues, whatever they are."""
    with broker() as redis:
        return sum(int(redis.llen(f"{_PREFIX}{name}")) for name in QUEUES.split(","))


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


def a_wakeup() -> dict[str, Any]:
    """A message that a worker understands, as it lay in the queue; now there is none. No worker may be there to take it."""
    forget_messages()
    with wakeups_go_to(os.environ["REDIS_URL"]):
        celery_app.send_task("batchreel.wake")
    (message,) = waiting_messages()
    forget_messages()
    return message


def changed(message: dict[str, Any], **headers: object) -> bytes:
    """The message with other headers."""
    return json.dumps({**message, "headers": {**message["headers"], **headers}}).encode()


def with_body(message: dict[str, Any], body: bytes) -> bytes:
    """The message with another body."""
    return json.dumps({**message, "body": base64.b64encode(body).decode()}).encode()


def with_arguments(message: dict[str, Any], args: list[object], kwargs: dict[str, object]) -> bytes:
    """The message with arguments for its task."""
    return with_body(message, json.dumps([args, kwargs, {}]).encode())
