"""Database checks: reachability, a time limit for row locks, clock difference, applied migrations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

CLOCK_TOLERANCE_S = 5.0
"""The bridge compares database times only with each other.

A larger difference makes logs and AWS times hard to compare with them.
"""


def check_database() -> Iterator[Finding]:
    """Yield one finding each for reachability, the time limit for row locks, the clock and the migrations."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())::float,"
                " current_setting('idle_in_transaction_session_timeout')"
            )
            version, clock_s, idle_limit = cursor.fetchone()
        here_s = datetime.now(UTC).timestamp()
        yield ok("database", f"PostgreSQL {version.split()[0]} is reachable.")
        yield from _row_locks(idle_limit)
        yield from _clock(clock_s - here_s)
        yield from _migrations()
    except DatabaseError as error:
        text = str(error).strip().splitlines()[0]
        yield failed(
            "database",
            f"The database is unavailable: {text}",
            fix="Check DATABASE_URL, and that the server is running.",
        )
    finally:
        connection.close()


def _row_locks(idle_limit: str) -> Iterator[Finding]:
    if idle_limit == "0":
        yield warning(
            "row locks",
            "A process that hangs inside a transaction keeps a job's row locked forever: no tick could rescue the job.",
            fix="ALTER ROLE <database user> SET idle_in_transaction_session_timeout = '20s' (and lock_timeout = '10s').",
        )
    else:
        yield ok("row locks", f"A process that hangs inside a transaction loses its locks after {idle_limit}.")


def _clock(ahead_s: float) -> Iterator[Finding]:
    if abs(ahead_s) <= CLOCK_TOLERANCE_S:
        yield ok("clock", f"The clocks of the database and of this machine differ by {abs(ahead_s):.1f} s.")
    else:
        direction = "ahead of" if ahead_s > 0 else "behind"
        yield warning(
            "clock",
            f"The database's clock is {abs(ahead_s):.0f} s {direction} this machine's.",
            fix="Synchronize both with a time server. No deadline depends on it: all use the database's clock.",
        )


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""  # noqa: PLR2004 - three are shown
        yield failed("migrations", f"Not applied: {names}{more}.", fix="Run `manage.py migrate`.")
    else:
        yield ok("migrations", "All migrations are applied.")
