"""A COMMIT whose answer was lost may have taken effect: what was stored beside the row must stay then."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connection


def may_be_committed(rows: Any) -> bool:
    """Whether what this query looks for is there, though saving it raised an error; also True where the database cannot be asked."""
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return bool(rows.exists())
    except DatabaseError:
        return True
