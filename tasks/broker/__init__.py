"""Redis as Celery's broker: the settings of the connection, and a client that uses them."""

from __future__ import annotations

from .settings import RedisBroker, redis_broker

__all__ = ["RedisBroker", "redis_broker"]
