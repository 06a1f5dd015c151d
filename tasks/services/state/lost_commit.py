"""A COMMIT whose response was lost may have taken effect: what was stored along with the row must then be kept."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connection


def may_be_committed(rows: Any) -> bool:
    """Return whether the rows may exist although saving them raised an error.

    Also True if the database is unreachable.
    """
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return bool(rows.exists())
    except DatabaseError:
        return True
