"""Looks at the database: does it answer, does it bound row locks, are the migrations applied, does its clock agree with this machine's?"""

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
"""The bridge compares only the database's times with each other. Above this, logs and AWS's times are hard to read beside them."""


def check_database() -> Iterator[Finding]:
    """One finding each for reachability, the bound of row locks, the clock and the migrations."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), clock_timestamp(),"
                " current_setting('idle_in_transaction_session_timeout')"
            )
            version, clock, idle_limit = cursor.fetchone()
        here = datetime.now(UTC)
        yield ok("database", f"PostgreSQL {version.split()[0]} answers.")
        yield from _row_locks(idle_limit)
        yield from _clock((clock - here).total_seconds())
        yield from _migrations()
    except DatabaseError as error:
        text = str(error).strip().splitlines()[0]
        yield failed("database", f"It does not answer: {text}", fix="Check DATABASE_URL, and that the server runs.")
    finally:
        connection.close()


def _row_locks(idle_limit: str) -> Iterator[Finding]:
    if idle_limit == "0":
        yield warning(
            "row locks",
            "A process that hangs inside a transaction keeps a job's row locked for ever: nobody could rescue the job.",
            fix="ALTER ROLE the database user SET idle_in_transaction_session_timeout = '20s' (and lock_timeout = '10s').",
        )
    else:
        yield ok("row locks", f"A process that hangs inside a transaction loses its locks after {idle_limit}.")


def _clock(ahead_s: float) -> Iterator[Finding]:
    if abs(ahead_s) <= CLOCK_TOLERANCE_S:
        yield ok("clock", f"The database's clock and this machine's agree to {abs(ahead_s):.1f} s.")
    else:
        direction = "ahead of" if ahead_s > 0 else "behind"
        yield warning(
            "clock",
            f"The database's clock is {abs(ahead_s):.0f} s {direction} this machine's.",
            fix="Let both follow a time server. No deadline depends on it: all use the database's clock.",
        )


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""  # noqa: PLR2004 - as many as are shown
        yield failed("migrations", f"Not applied: {names}{more}.", fix="Run `manage.py migrate`.")
    else:
        yield ok("migrations", "All are applied.")
