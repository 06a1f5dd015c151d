"""A Redis client made by kombu from Celery's settings, so TLS and Sentinel work as in web, worker and beat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from kombu import Connection


def broker_connection(*, timeout_s: float) -> Connection:
    """Return a kombu connection with this time limit to connect, and for each response. It connects to nothing yet."""
    options = {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
    }
    use_ssl = getattr(settings, "CELERY_BROKER_USE_SSL", False)
    return Connection(settings.CELERY_BROKER_URL, ssl=use_ssl, transport_options=options)


@contextmanager
def redis_client(connection: Connection) -> Iterator[Any]:
    """Connect, and yield the Redis client, which adds the prefix of Celery's keys. Raises RedisError or OSError."""
    channel: Any = connection.transport.create_channel(connection.transport)
    try:
        with channel.conn_or_acquire() as client:
            yield client
    finally:
        channel.close()
