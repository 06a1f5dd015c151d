"""PostgreSQL role of the containers, limited to what the container program does to the database.

A container decodes files that strangers uploaded. Its role can read the bridge's rows and write the
columns that the container's services write. It has no access to accounts, sessions or settings of
the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import AutoField, Model
from psycopg.sql import SQL, Composed, Identifier, Literal

from .models import Attempt, Captions, Edition, Event, Job, OutboxEvent, OutboxSequence, Unit, Video


@dataclass(frozen=True, slots=True, kw_only=True)
class TableGrant:
    """Privileges of the role on one table.

    Fields are Django's names. SELECT ... FOR UPDATE requires UPDATE on at least one column.
    """

    model: type[Model]
    read: tuple[str, ...] = ()
    """Readable fields; all fields if empty."""
    update: tuple[str, ...] = ()
    insert: bool = False
    delete: bool = False


GRANTS = (
    TableGrant(model=Video, update=("published_job", "shown_edit", "newest_edit")),
    TableGrant(
        model=Job,
        update=(
            *(
                "state",
                "reason",
                "reason_message",
                "reason_details",
                "next_attempt_at",
                "plan",
                "engine",
                "finished_at",
            ),
            *(
                "superseded_at",
                "playlist_key",
                "edition_key",
                "poster_key",
                "duration_s",
                "warnings",
                "chapters",
                "transcript",
                "source_playable_at",
            ),
            *("encode_cost_s", "playable_at"),
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
            *("claim_id", "machine_id", "batch_job_id", "claimed_at", "heartbeat_at", "progressed_at"),
            *("stage", "count", "encoded_frames", "units_done", "scratch_mib", "error_code"),
            *("finished_work_s", "lost_work_s"),
        ),
    ),
    # Units are deleted when a plan of another engine version is replaced by a new plan.
    TableGrant(
        model=Unit,
        update=("state", "fence", "attempt", "lease_id", "output", "redo_count", "leased_at", "done_at"),
        insert=True,
        delete=True,
    ),
    # Only appended, but INSERT ... RETURNING reads the columns that the database fills in.
    TableGrant(model=Event, read=("id", "created_at"), insert=True),
    TableGrant(model=Captions),
    TableGrant(model=Edition, update=("ended_at",), insert=True),
    TableGrant(model=OutboxEvent, read=("id", "created_at"), insert=True),
    TableGrant(model=OutboxSequence, update=("last",), insert=True),
)


MARK = "Batchreel: containers connect as it. Its rights are renewed by each manage.py migrate."
"""Comment on a role in the database that marks it as ours; the site's other roles are never
changed. Roles in existing databases are found by this exact text, so it must not change."""


def role_statements(role: str, *, database: str, password: str | None, exists: bool) -> list[Composed]:
    """Return the statements that create the role, or correct an existing one.

    Without a password, an existing role keeps its own.
    """
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


def schema_statements(owner: str) -> list[Composed]:
    """Return the statements after which only the owner of the tables can create objects in schema public.

    Up to PostgreSQL 14, every role may, as may every role in a database that was upgraded from
    there. That right comes from PUBLIC, so it cannot be revoked from the containers' role alone; the
    owner gets it by name, because `migrate` creates tables.
    """
    return [
        SQL("GRANT CREATE ON SCHEMA public TO {}").format(Identifier(owner)),
        SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC").format(),
    ]


def renew_grants() -> list[str]:
    """Renew the grants of this database's container roles; return the names of the roles.

    `manage.py container_role` creates these roles. Columns and tables that a migration adds have no
    grants, so containers would be denied access to them.
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
    # Revoking privileges on the table does not revoke those on its columns.
    statements = [SQL("REVOKE ALL ({}) ON {} FROM {}").format(_columns(grant.model), table, role)]
    allowed = [SQL("SELECT ({})").format(_columns(grant.model, grant.read)) if grant.read else SQL("SELECT")]
    if grant.update:
        allowed.append(SQL("UPDATE ({})").format(_columns(grant.model, grant.update)))
    if grant.insert:
        allowed.append(SQL("INSERT"))
        if isinstance(about.pk, AutoField):
            sequence = Identifier(f"{about.db_table}_id_seq")
            statements.append(SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sequence, role))
    if grant.delete:
        allowed.append(SQL("DELETE"))
    return [*statements, SQL("GRANT {} ON {} TO {}").format(SQL(", ").join(allowed), table, role)]


def _columns(model: type[Model], fields: Sequence[str] = ()) -> Composed:
    """Return the columns of these fields, or all columns of the table. Raises KeyError."""
    columns = {field.name: Identifier(str(field.column)) for field in model._meta.concrete_fields}  # noqa: SLF001 - as above
    return Composed([columns[field] for field in fields or columns]).join(", ")
