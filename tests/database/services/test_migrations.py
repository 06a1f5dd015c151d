"""Migrations: what they must not import, and the containers' privileges after they run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from tests.stack_plugin import CONTAINER_PASSWORD_VARIABLE, CONTAINER_ROLE

MIGRATIONS = Path(settings.BASE_DIR) / "tasks" / "migrations"


def test_migrations_import_relatively_when_makemigrations_wrote_them() -> None:
    # The app is shipped under another import name; makemigrations writes the one that it has here.
    written = [path for path in MIGRATIONS.glob("*.py") if re.search(r"\btasks\.", path.read_text())]
    assert written == [], "import it relative to the migration instead: from ..storage.keys import source_key"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    CONTAINER_PASSWORD_VARIABLE not in os.environ, reason="the given database has no role for containers"
)
def test_container_role_can_write_a_new_column_when_migrations_have_run() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE UPDATE (redo_count) ON batchreel_unit FROM {CONTAINER_ROLE}")
        cursor.execute(f"GRANT UPDATE (fence) ON batchreel_job TO {CONTAINER_ROLE}")

    call_command("migrate", verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SELECT has_column_privilege(%s, 'batchreel_unit', 'redo_count', 'UPDATE')", [CONTAINER_ROLE])
        assert cursor.fetchone() == (True,)
        cursor.execute("SELECT has_column_privilege(%s, 'batchreel_job', 'fence', 'UPDATE')", [CONTAINER_ROLE])
        assert cursor.fetchone() == (False,)
