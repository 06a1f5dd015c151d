"""`manage.py container_role NAME`: the PostgreSQL role that containers connect as."""

from __future__ import annotations

import os
import secrets
from typing import Any
from urllib.parse import quote

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction

from ...database_role import role_statements

PASSWORD_VARIABLE = "CONTAINER_DATABASE_PASSWORD"  # noqa: S105 - the variable's name

_PLACE_OF_PASSWORD = "..."  # noqa: S105 - stands where the administrator puts one


class Command(BaseCommand):
    """Make the role, or make it right. `migrate` renews the rights of a role that is there."""

    help = (
        "Make the PostgreSQL role that containers connect as, with the rights of the container's program and no others. Run it once, as "
        f"the owner of the tables; each migrate renews the rights. The password is {PASSWORD_VARIABLE}; without it a new role gets one "
        "that is shown once, and an existing role keeps its own."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the name and --sql."""
        parser.add_argument("role", help="the role's name, e.g. batchreel_container")
        parser.add_argument(
            "--sql", action="store_true", help="Print the statements for a database administrator, and run none."
        )

    def handle(self, *, role: str, sql: bool, **_: Any) -> None:
        """Raise CommandError, in one sentence, where the database refuses."""
        given = os.environ.get(PASSWORD_VARIABLE) or None
        database = str(connection.settings_dict["NAME"])
        if role == connection.settings_dict["USER"]:
            message = f"{role} is the role that this command connects as: it owns the tables. Name another one."
            raise CommandError(message)
        if sql:
            for statement in role_statements(role, database=database, password=_PLACE_OF_PASSWORD, exists=False):
                self.stdout.write(f"{statement.as_string(None)};")
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                exists = cursor.fetchone() is not None
                password = given or (None if exists else secrets.token_urlsafe(24))
                for statement in role_statements(role, database=database, password=password, exists=exists):
                    cursor.execute(statement)
                cursor.execute("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [role])
                may_create = cursor.fetchone()[0]
        except DatabaseError as error:
            first_line = str(error).splitlines()[0]
            message = (
                f"The role was not changed: {first_line}. Run this as the owner of the tables, who may create roles; or give the "
                "output of --sql to one who may."
            )
            raise CommandError(message) from error
        done = "has its rights again" if exists else "is made"
        self.stdout.write(self.style.SUCCESS(f"The role {role} {done}."))
        if password and not given:
            self._show(role, password)
        if may_create:
            self.stdout.write(
                "It may still make tables, as every role of this database: REVOKE CREATE ON SCHEMA public FROM PUBLIC ends that."
            )

    def _show(self, role: str, password: str) -> None:
        database = connection.settings_dict
        address = f"{database['HOST'] or 'localhost'}:{database['PORT'] or 5432}/{quote(str(database['NAME']))}"
        self.stdout.write(
            "Its password is shown this once. Store this as the secret DATABASE_URL of the job definition:"
        )
        self.stdout.write(f"postgres://{quote(role)}:{quote(password)}@{address}")
