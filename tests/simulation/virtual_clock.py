"""A clock of the database's that stands still until it is told to go on, and ids that are the same in each history.

PostgreSQL looks functions up in the schemas of `search_path`, in their order, and the services ask nobody else for the time. Everything
here is part of the transaction that it is called in: when that is rolled back, the real clock is there again.
"""

from __future__ import annotations

from django.db import connection, models

from tasks.models import Attempt, Event, Job, Tick, TokenBucket, Unit, Video

_SCHEMA = "simulated"
_FUNCTIONS = ("statement_timestamp", "clock_timestamp")
"""What the services call. `now()` is PostgreSQL's start of the transaction; the system's tests hold that nobody uses it."""
_MODELS: tuple[type[models.Model], ...] = (Video, Job, Attempt, Unit, Event, Tick, TokenBucket)


def _defaults() -> list[str]:
    """A column's default names its function for good, whatever the search path is later.

    Of a million rows, no two get the same microsecond, for PostgreSQL sorts equal ones at random; and what is due now, is due.
    """
    return [
        f"ALTER TABLE {model._meta.db_table} ALTER COLUMN {each.column} SET DEFAULT {_SCHEMA}.statement_timestamp()"
        f" + (nextval('{_SCHEMA}.row') - 1000000) * interval '1 microsecond'"
        for model in _MODELS
        for each in model._meta.concrete_fields
        if isinstance(each, models.DateTimeField) and each.has_db_default()
    ]


_START = "; ".join(
    [
        f"CREATE SCHEMA {_SCHEMA}",
        f"CREATE SEQUENCE {_SCHEMA}.row",
        *(
            f"CREATE FUNCTION {_SCHEMA}.{name}() RETURNS timestamptz STABLE LANGUAGE sql"
            " AS $$ SELECT to_timestamp(current_setting('simulated.seconds')::float8) $$"
            for name in _FUNCTIONS
        ),
        *_defaults(),
        f"SET LOCAL search_path = {_SCHEMA}, pg_catalog, public",
        "SELECT setval(pg_get_serial_sequence('batchreel_attempt', 'id'), 1, false)",
    ]
)
_BEGINS_AT_S = 1_700_000_000.0


class VirtualClock:
    """The database's time from now on, until the transaction ends. Attempts are numbered from 1: whose turn it is follows from that."""

    def __init__(self) -> None:
        self.now_s = _BEGINS_AT_S
        self._tell()
        with connection.cursor() as cursor:
            cursor.execute(_START)

    def advance(self, seconds: float) -> None:
        """Let time pass, without anybody waiting."""
        self.now_s += seconds
        self._tell()

    def _tell(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('simulated.seconds', %s, true)", [repr(self.now_s)])
