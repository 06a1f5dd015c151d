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


class DatabaseAwayError(Exception):
    """The database could not be reached for as long as the container was patient."""

    code = "DATABASE_AWAY"


class Database:
    """Calls services, each on a connection of its own, again and again until the database answers."""

    def __init__(self, *, patience_s: float, hurry: threading.Event, hurry_patience_s: float) -> None:
        """`hurry` set means that the container was told to end: only `hurry_patience_s` is left from then on."""
        self._patience_s = patience_s
        self._hurry = hurry
        self._hurry_patience_s = hurry_patience_s

    def __call__(self, service: Callable[[], Result]) -> Result:
        """The service's result. Raises DatabaseAwayError, and whatever the service raises of its own."""
        started_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return once(service)
            except (OperationalError, InterfaceError, InternalError) as error:
                if isinstance(error, InternalError) and not isinstance(error.__cause__, _PASSING):
                    raise
                patience_s = self._hurry_patience_s if self._hurry.is_set() else self._patience_s
                if time.monotonic() - started_s + pause_s > patience_s:
                    message = f"the database did not answer for {patience_s:.0f} s: {error}"
                    raise DatabaseAwayError(message) from error
                logger.warning("DATABASE_AWAY", extra={"error": str(error), "next_try_s": pause_s})
            threading.Event().wait(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)


def once(service: Callable[[], Result]) -> Result:
    """Call the service on a fresh connection of this thread, and close it."""
    connection.close()
    try:
        return service()
    finally:
        connection.close()
