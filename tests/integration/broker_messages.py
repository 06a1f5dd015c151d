"""The raw messages in the broker."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from redis import Redis

from project.celery import app as celery_app
from tests.integration.celery_nodes import QUEUES
from tests.wakeup_broker import send_wakeups_to

_PREFIX = celery_app.conf.broker_transport_options["global_keyprefix"]


def broker(url: str | None = None) -> Redis[bytes]:
    """Return a client of the broker at `url`, by default the broker of this test run."""
    return Redis.from_url(url or os.environ["REDIS_URL"])


def queued_messages(url: str | None = None) -> list[dict[str, Any]]:
    """Return every queued message, as kombu wrote it."""
    with broker(url) as redis:
        return [json.loads(each) for name in QUEUES.split(",") for each in redis.lrange(f"{_PREFIX}{name}", 0, -1)]


def queued_count() -> int:
    """Return the number of queued messages, including ones that cannot be parsed."""
    with broker() as redis:
        return sum(int(redis.llen(f"{_PREFIX}{name}")) for name in QUEUES.split(","))


def unacked_count(url: str | None = None) -> int:
    """Return the number of messages that workers have fetched and not acknowledged."""
    with broker(url) as redis:
        return int(redis.hlen(f"{_PREFIX}unacked"))


def push_raw(queue: str, message: bytes) -> None:
    """Push these bytes into a queue as they are."""
    with broker() as redis:
        redis.lpush(f"{_PREFIX}{queue}", message)


def clear_messages() -> None:
    """Delete all messages: the queued ones, and those that a killed worker had not acknowledged."""
    with broker() as redis:
        redis.delete(*(f"{_PREFIX}{name}" for name in (*QUEUES.split(","), "unacked", "unacked_index")))


def capture_wakeup() -> dict[str, Any]:
    """Return a valid wake-up message as it was queued, and leave the queues empty. Requires that no worker runs."""
    clear_messages()
    with send_wakeups_to(os.environ["REDIS_URL"]):
        celery_app.send_task("batchreel.wake")
    (message,) = queued_messages()
    clear_messages()
    return message


def with_headers(message: dict[str, Any], **headers: object) -> bytes:
    """Return the message with these headers changed."""
    return json.dumps({**message, "headers": {**message["headers"], **headers}}).encode()


def with_body(message: dict[str, Any], body: bytes) -> bytes:
    """Return the message with another body."""
    return json.dumps({**message, "body": base64.b64encode(body).decode()}).encode()


def with_arguments(message: dict[str, Any], args: list[object], kwargs: dict[str, object]) -> bytes:
    """Return the message with arguments for its task."""
    return with_body(message, json.dumps([args, kwargs, {}]).encode())
