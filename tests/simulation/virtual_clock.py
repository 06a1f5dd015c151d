"""Virtual clock of the database that advances only on request, and ids that repeat in each history.

PostgreSQL looks functions up in the schemas of `search_path`, in order, and the services read the
time only from the database. Everything here belongs to the current transaction: a rollback restores
the real clock.
"""

from __future__ import annotations

from django.db import connection, models

from tasks.models import Attempt, Event, Job, Tick, Unit, Video

_SCHEMA = "simulated"
_FUNCTIONS = ("statement_timestamp", "clock_timestamp")
"""Functions that the services call. They never call `now()`, the start of the transaction."""
_MODELS: tuple[type[models.Model], ...] = (Video, Job, Attempt, Unit, Event, Tick)


def _defaults() -> list[str]:
    """Return statements that make column defaults use the virtual clock.

    A default is bound to its function when it is set, so a later search path does not change it.
    No two of a million rows get the same microsecond, because PostgreSQL sorts equal ones at random.
    The offset is negative, so that what is due now is due.
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
    """Database time until the end of the transaction.

    Attempt ids start at 1, because the tick in which an attempt is observed depends on its id.
    """

    def __init__(self) -> None:
        self.now_s = _BEGINS_AT_S
        self._set_time()
        with connection.cursor() as cursor:
            cursor.execute(_START)

    def advance(self, seconds: float) -> None:
        """Advance the clock, without waiting."""
        self.now_s += seconds
        self._set_time()

    def _set_time(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('simulated.seconds', %s, true)", [repr(self.now_s)])
