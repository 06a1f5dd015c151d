"""How many messages wait in the queues of Redis."""

from __future__ import annotations

import logging

from redis import RedisError

from ..broker.client import broker_connection, redis_client, uses_redis
from ..schedule.ticks import QUEUES
from .definitions import BROKER_MESSAGES, BROKER_UP, Labels
from .readings import Readings

logger = logging.getLogger(__name__)

_TIMEOUT_S = 1.0
"""Seconds to connect, and for each response: Prometheus waits 10 s for all metrics."""


def read_broker() -> Readings:
    """Return the length of each queue. If Redis cannot be reached, only that it is not up.

    Of another broker only whether it is up: its messages cannot be counted.
    """
    try:
        connection = broker_connection(timeout_s=_TIMEOUT_S)
        if not uses_redis(connection):
            with connection:
                connection.ensure_connection(max_retries=1, timeout=int(_TIMEOUT_S))
            return {BROKER_UP: {(): 1.0}}
        with redis_client(connection) as client:
            lengths: dict[Labels, float] = {(queue,): float(client.llen(queue)) for queue in QUEUES}
    except (RedisError, OSError):
        return {BROKER_UP: {(): 0.0}}
    except Exception as error:  # noqa: BLE001 - kombu raises many kinds for settings that it cannot use
        # Without the text, which may contain part of a password.
        logger.warning("BROKER_SETTINGS_INVALID %s", type(error).__name__)
        return {BROKER_UP: {(): 0.0}}
    return {BROKER_UP: {(): 1.0}, BROKER_MESSAGES: lengths}
