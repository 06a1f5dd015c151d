"""Connections to the broker of the site's Celery application, with our own time limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection

from .app import celery_app

REDIS_TRANSPORTS = frozenset({"redis", "rediss", "sentinel"})
"""Names of kombu's transports for Redis. The bridge is tested with no other broker."""


def broker_connection(*, timeout_s: float) -> Connection:
    """Return a kombu connection with this time limit to connect, and for each response of Redis.

    It has the URL, TLS and all other options of the site's application, but not its time limits. It
    connects to nothing yet. Raises what kombu does for settings that it cannot use.
    """
    connection: Connection = celery_app().connection_for_write(connect_timeout=timeout_s)
    # kombu would try again after two seconds, and send what nobody waits for any more.
    limits: dict[str, Any] = {"max_retries": 0}
    if uses_redis(connection):
        limits |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    connection.transport_options = {**(connection.transport_options or {}), **limits}
    return connection


def uses_redis(connection: Connection) -> bool:
    """Return True if the connection leads to Redis, directly or through Sentinel."""
    return connection.transport_cls in REDIS_TRANSPORTS


@contextmanager
def redis_client(connection: Connection) -> Iterator[Any]:
    """Connect, and yield the Redis client, which adds the prefix of Celery's keys. Raises RedisError or OSError."""
    channel: Any = connection.transport.create_channel(connection.transport)
    try:
        with channel.conn_or_acquire() as client:
            yield client
    finally:
        channel.close()
