"""`manage.py container_role NAME`: create the PostgreSQL role that containers connect as."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction

from ...database_role import role_statements, schema_statements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.utils import CursorWrapper
    from psycopg.sql import Composed

PASSWORD_VARIABLE = "CONTAINER_DATABASE_PASSWORD"  # noqa: S105 - the variable's name

_PASSWORD_PLACEHOLDER = "..."  # noqa: S105 - to be replaced by the administrator


def _may_create(role: str, cursor: CursorWrapper) -> bool:
    """Return whether the role may create objects in schema public; `public` stands for every role."""
    cursor.execute("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [role])
    return bool(cursor.fetchone()[0])


class Command(BaseCommand):
    """Create the role, or reset the privileges of an existing one.

    `migrate` also renews the privileges of existing roles.
    """

    help = (
        "Create the PostgreSQL role that containers connect as, with exactly the privileges of the container's program. Run it once, as "
        f"the owner of the tables; each migrate renews the privileges. The password is read from {PASSWORD_VARIABLE}. Without it, a new "
        "role gets a random password that is printed once, and an existing role keeps its password."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the name and --sql."""
        parser.add_argument("role", help="Name of the role, e.g. batchreel_container.")
        parser.add_argument(
            "--sql",
            action="store_true",
            help="Print the statements for a database administrator instead of running them.",
        )

    def handle(self, *, role: str, sql: bool, **_: Any) -> None:
        """Create or update the role.

        Raise CommandError with a short message if the database refuses.
        """
        given = os.environ.get(PASSWORD_VARIABLE) or None
        database = str(connection.settings_dict["NAME"])
        owner = str(connection.settings_dict["USER"])
        if role == owner:
            message = f"{role} is the role that this command connects as: it owns the tables. Choose another name."
            raise CommandError(message)
        if sql:
            statements = role_statements(role, database=database, password=_PASSWORD_PLACEHOLDER, exists=False)
            self._print([*statements, *schema_statements(owner)])
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                exists = cursor.fetchone() is not None
                password = given or (None if exists else secrets.token_urlsafe(24))
                for statement in role_statements(role, database=database, password=password, exists=exists):
                    cursor.execute(statement)
                if _may_create("public", cursor):
                    # Without the right to do so, PostgreSQL only warns: the result is checked below.
                    for statement in schema_statements(owner):
                        cursor.execute(statement)
                may_create = _may_create(role, cursor)
        except DatabaseError as error:
            first_line = str(error).splitlines()[0]
            message = (
                f"The role was not changed: {first_line}. Run this as an owner of the tables who may create roles, or give the "
                "output of --sql to a database administrator."
            )
            raise CommandError(message) from error
        done = "Renewed the privileges of role" if exists else "Created role"
        self.stdout.write(self.style.SUCCESS(f"{done} {role}."))
        if password and not given:
            self._show(role, password)
        if may_create:
            self.stdout.write(
                self.style.WARNING(
                    "It can still create tables, like every role in this database. Have the owner of schema public run:"
                )
            )
            self._print(schema_statements(owner))

    def _print(self, statements: Iterable[Composed]) -> None:
        for statement in statements:
            self.stdout.write(f"{statement.as_string(None)};")

    def _show(self, role: str, password: str) -> None:
        database = connection.settings_dict
        address = f"{database['HOST'] or 'localhost'}:{database['PORT'] or 5432}/{quote(str(database['NAME']))}"
        self.stdout.write(
            "Its password is shown only once. Store this URL as the secret DATABASE_URL of the job definition:"
        )
        self.stdout.write(f"postgres://{quote(role)}:{quote(password)}@{address}")
