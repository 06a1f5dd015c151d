"""Reaching the database from a container: a connection for each call, none held across media work, and patience with an outage.

Every service that a container calls can be called again after a lost answer: the same fence in the target state is success.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, InternalError, OperationalError, connection
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, TransactionTimeout

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_PASSING = (IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, TransactionTimeout)
"""Internal errors that another try mends: a process that stood still inside a transaction, and a name that for the moment of a failover
still leads to the old writer, which is a reader now."""


class DatabaseUnavailableError(Exception):
    """The database could not be reached for as long as the container was patient."""

    code = "DATABASE_UNAVAILABLE"


class Database:
    """Calls services, each on a connection of its own, again and again until the database answers."""

    def __init__(self, *, retry_s: float, shutting_down: threading.Event, shutdown_timeout_s: float) -> None:
        """`hurry` set means that the container was told to end: only `shutdown_timeout_s` is left from then on."""
        self._retry_s = retry_s
        self._shutting_down = shutting_down
        self._shutdown_timeout_s = shutdown_timeout_s

    def __call__(self, service: Callable[[], Result]) -> Result:
        """The service's result. Raises DatabaseUnavailableError, and whatever the service raises of its own."""
        started_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return once(service)
            except (OperationalError, InterfaceError, InternalError) as error:
                if isinstance(error, InternalError) and not isinstance(error.__cause__, _PASSING):
                    raise
                retry_s = self._shutdown_timeout_s if self._shutting_down.is_set() else self._retry_s
                if time.monotonic() - started_s + pause_s > retry_s:
                    message = f"the database did not answer for {retry_s:.0f} s: {error}"
                    raise DatabaseUnavailableError(message) from error
                logger.warning("DATABASE_UNAVAILABLE", extra={"error": str(error), "next_try_s": pause_s})
            threading.Event().wait(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)


def once(service: Callable[[], Result]) -> Result:
    """Call the service on a fresh connection of this thread, and close it."""
    connection.close()
    try:
        return service()
    finally:
        connection.close()
