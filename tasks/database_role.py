"""The PostgreSQL role of containers: exactly what the container's program does to the database, and nothing else.

A container decodes files that strangers uploaded. Its role reads the bridge's rows, writes the columns that its services write, and
reaches no account, no session and no setting of the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Model
from psycopg.sql import SQL, Composed, Identifier, Literal

from .models import Attempt, Event, Job, Unit, Video


@dataclass(frozen=True, slots=True, kw_only=True)
class TableGrant:
    """What the role may do to one table. Fields are Django's names; a row lock asks for UPDATE of any one column."""

    model: type[Model]
    read: tuple[str, ...] = ()
    """Fields that may be read; all where it is empty."""
    update: tuple[str, ...] = ()
    insert: bool = False
    delete: bool = False


GRANTS = (
    TableGrant(model=Video, update=("published_job",)),
    TableGrant(
        model=Job,
        update=(
            *("state", "reason", "reason_message", "next_attempt_at", "plan", "finished_at", "superseded_at"),
            *("manifest", "manifest_key", "poster_key", "level"),
        ),
    ),
    TableGrant(
        model=Attempt,
        update=(
            *(
                "state",
                "reason",
                "reason_message",
                "counted",
                "units_in_progress",
                "exit_code",
                "ended_at",
                "submit_at",
            ),
            *("claim_id", "batch_job_id", "claimed_at", "heartbeat_at", "progressed_at"),
            *("stage", "count", "encoded_frames"),
        ),
    ),
    # Units are deleted where a plan was made by another engine, and is made anew.
    TableGrant(
        model=Unit,
        update=("state", "fence", "attempt", "lease_id", "output", "redo_count", "leased_at", "done_at"),
        insert=True,
        delete=True,
    ),
    # Appended, never read: an INSERT gives back what the database filled in.
    TableGrant(model=Event, read=("id", "created_at"), insert=True),
)


MARK = "Batchreel: containers connect as it. Its rights are renewed by each manage.py migrate."
"""The role's comment in the database: tells it from roles of the site's own, whose rights are none of our business."""


def role_statements(role: str, *, database: str, password: str | None, exists: bool) -> list[Composed]:
    """Return the statements that make the role, or make an existing one right. Without a password an existing one keeps its own."""
    name = Identifier(role)
    login = SQL("ALTER ROLE {}" if exists else "CREATE ROLE {}").format(name) + SQL(
        " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
    )
    if password is not None:
        login += SQL(" PASSWORD {}").format(Literal(password))
    return [
        login,
        SQL("COMMENT ON ROLE {} IS {}").format(name, Literal(MARK)),
        SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(database), name),
        SQL("GRANT USAGE ON SCHEMA public TO {}").format(name),
        *_rights_statements(name),
    ]


def renew_rights() -> list[str]:
    """Give every role that `manage.py container_role` made for this database its rights again; return their names.

    A migration's new columns and tables come without them, and containers would be refused until somebody noticed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = %s"
            " AND has_table_privilege(oid, to_regclass(%s), 'INSERT') ORDER BY rolname",
            [MARK, Unit._meta.db_table],  # noqa: SLF001 - Django's documented API
        )
        roles = [name for (name,) in cursor.fetchall()]
        for role in roles:
            for statement in _rights_statements(Identifier(role)):
                cursor.execute(statement)
    return roles


def _rights_statements(role: Identifier) -> list[Composed]:
    return [
        SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role),
        SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {}").format(role),
        *(statement for grant in GRANTS for statement in _table_statements(grant, role)),
    ]


def _table_statements(grant: TableGrant, role: Identifier) -> list[Composed]:
    about = grant.model._meta  # noqa: SLF001 - Django's documented API
    table = Identifier(about.db_table)
    # Column privileges outlive a REVOKE on the table's own.
    statements = [SQL("REVOKE ALL ({}) ON {} FROM {}").format(_columns(grant.model), table, role)]
    allowed = [SQL("SELECT ({})").format(_columns(grant.model, grant.read)) if grant.read else SQL("SELECT")]
    if grant.update:
        allowed.append(SQL("UPDATE ({})").format(_columns(grant.model, grant.update)))
    if grant.insert:
        allowed.append(SQL("INSERT"))
        sequence = Identifier(f"{about.db_table}_id_seq")
        statements.append(SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sequence, role))
    if grant.delete:
        allowed.append(SQL("DELETE"))
    return [*statements, SQL("GRANT {} ON {} TO {}").format(SQL(", ").join(allowed), table, role)]


def _columns(model: type[Model], fields: Sequence[str] = ()) -> Composed:
    """The columns of these fields, or all of the table. Raises KeyError."""
    columns = {field.name: Identifier(str(field.column)) for field in model._meta.concrete_fields}  # noqa: SLF001 - as above
    return Composed([columns[field] for field in fields or columns]).join(", ")
