"""Database access of the container, with retries during an outage.

Each call has its own connection, so none is held across media work.

Every service that a container calls is idempotent, so it can be called again after a lost response:
if the row is already in the target state with the same fence (a fencing token), the call succeeds.
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
"""Internal errors that a retry fixes: the process was suspended inside a transaction, or the host
name still resolves to the old writer, which is read-only, during a failover."""


class DatabaseUnavailableError(Exception):
    """The database was unavailable until the retry deadline."""

    code = "DATABASE_UNAVAILABLE"


class Database:
    """Calls services, each on its own connection, with retries while the database is unavailable."""

    def __init__(self, *, retry_s: float, shutting_down: threading.Event, shutdown_timeout_s: float) -> None:
        """Retry for up to `retry_s`, but only for `shutdown_timeout_s` once `shutting_down` is set."""
        self._retry_s = retry_s
        self._shutting_down = shutting_down
        self._shutdown_timeout_s = shutdown_timeout_s

    def __call__(self, service: Callable[[], Result]) -> Result:
        """Return the service's result.

        Raises DatabaseUnavailableError, or any error of the service itself.
        """
        started_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return call_once(service)
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


def call_once(service: Callable[[], Result]) -> Result:
    """Call the service on a new connection of this thread, and close it."""
    connection.close()
    try:
        return service()
    finally:
        connection.close()
