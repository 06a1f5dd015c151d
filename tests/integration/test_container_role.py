"""Containers have a database role with the privileges that their program needs, and no others.

All end-to-end tests run as this role. These tests check what it must not do, and the one privilege
that is rarely used.
"""

from __future__ import annotations

import io
import os
import signal
from typing import TYPE_CHECKING

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now

from tasks.models import Job, Unit
from tests.factories import submitted_attempt
from tests.integration.container_processes import EncoderBrake
from tests.integration.pipeline_videos import event_kinds, lose_attempt, upload
from tests.stack_plugin import CONTAINER_PASSWORD_VARIABLE, CONTAINER_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.container_processes import Run

pytestmark = pytest.mark.skipif(
    CONTAINER_PASSWORD_VARIABLE not in os.environ, reason="DATABASE_URL is set, and no role is created in that database"
)

REFUSED = (
    "SELECT * FROM auth_user",
    "SELECT * FROM django_session",
    "SELECT * FROM django_migrations",
    "SELECT * FROM batchreel_tick",
    "SELECT text FROM batchreel_event",
    "UPDATE batchreel_event SET text = ''",
    "UPDATE batchreel_video SET title = ''",
    "UPDATE batchreel_video SET source = ''",
    "UPDATE batchreel_video SET deleted_at = now()",
    "UPDATE batchreel_job SET video_id = NULL",
    "UPDATE batchreel_job SET fence = 0",
    "UPDATE batchreel_job SET budget_from = 100",
    "UPDATE batchreel_attempt SET number = 9",
    "UPDATE batchreel_attempt SET batch_status = 'SUCCEEDED'",
    "UPDATE batchreel_unit SET job_id = NULL",
    "INSERT INTO batchreel_video (id, title, source) VALUES (gen_random_uuid(), '', '')",
    "INSERT INTO batchreel_job (id) VALUES (gen_random_uuid())",
    "INSERT INTO batchreel_attempt (number) VALUES (1)",
    "DELETE FROM batchreel_video",
    "DELETE FROM batchreel_job",
    "DELETE FROM batchreel_attempt",
    "DELETE FROM batchreel_event",
    "SELECT payload FROM batchreel_outboxevent",
    "UPDATE batchreel_outboxevent SET dispatched_at = now()",
    "DELETE FROM batchreel_outboxevent",
    "DELETE FROM batchreel_outboxsequence",
    "SELECT url FROM batchreel_webhookendpoint",
    "UPDATE batchreel_delivery SET state = 'DELIVERED'",
    "TRUNCATE batchreel_unit",
    "CREATE TABLE mine (id int)",
    "ALTER TABLE batchreel_unit ADD COLUMN mine int",
    "DROP TABLE batchreel_unit",
    "CREATE ROLE mine",
    "SET ROLE batchreel",
    "COPY batchreel_unit TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
)


@pytest.fixture
def as_container(transactional_db: None, container_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(container_database_url, autocommit=True) as connected:
        yield connected


@pytest.mark.parametrize("statement", REFUSED)
def test_container_role_is_denied_when_it_exceeds_its_privileges(
    statement: str, as_container: psycopg.Connection
) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
        as_container.execute(statement)


def test_excess_privilege_is_revoked_when_container_role_runs_again(as_container: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT UPDATE (title) ON batchreel_video TO {CONTAINER_ROLE}")
        cursor.execute(f"GRANT DELETE ON batchreel_job TO {CONTAINER_ROLE}")
    as_container.execute("UPDATE batchreel_video SET title = ''")
    output = io.StringIO()
    call_command("container_role", CONTAINER_ROLE, stdout=output)
    assert "Renewed the privileges" in output.getvalue()
    assert os.environ[CONTAINER_PASSWORD_VARIABLE] not in output.getvalue()
    for statement in ("UPDATE batchreel_video SET title = ''", "DELETE FROM batchreel_job"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_container.execute(statement)


@pytest.mark.django_db
def test_container_role_cannot_create_tables_when_every_role_could() -> None:
    # As in PostgreSQL 14, where every role has this right.
    with connection.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        assert may_create(CONTAINER_ROLE)
        output = io.StringIO()
        call_command("container_role", CONTAINER_ROLE, stdout=output)
        assert not may_create(CONTAINER_ROLE)
        assert "can still create tables" not in output.getvalue()
        cursor.execute(
            "SELECT grantee::regrole::text, privilege_type FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public'"
        )
        assert (str(connection.settings_dict["USER"]), "CREATE") in cursor.fetchall(), "migrate could not create tables"


@pytest.mark.django_db
def test_operator_gets_the_statements_when_the_schema_has_another_owner() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE schema_owner")
        cursor.execute("ALTER SCHEMA public OWNER TO schema_owner")
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        cursor.execute("CREATE ROLE site_owner CREATEROLE IN ROLE CURRENT_ROLE")
        cursor.execute("SET LOCAL ROLE site_owner")
        output = io.StringIO()
        call_command("container_role", "another_role", stdout=output)
        cursor.execute("RESET ROLE")
    assert may_create("another_role")
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC;" in output.getvalue()


def may_create(role: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [role])
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_new_roles_password_is_shown_once_when_none_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONTAINER_PASSWORD_VARIABLE)
    first, second = io.StringIO(), io.StringIO()
    call_command("container_role", "one_more_role", stdout=first)
    (url,) = [line for line in first.getvalue().splitlines() if line.startswith("postgres://one_more_role:")]
    call_command("container_role", "one_more_role", stdout=second)
    assert url.split(":")[2].split("@")[0] not in second.getvalue()


@pytest.mark.django_db
def test_role_statements_are_only_printed_when_sql_is_requested() -> None:
    printed = io.StringIO()
    call_command("container_role", "role_of_tomorrow", "--sql", stdout=printed)
    assert 'CREATE ROLE "role_of_tomorrow" LOGIN' in printed.getvalue()
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC;" in printed.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'role_of_tomorrow'")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_owner_keeps_its_privileges_when_it_is_named_by_mistake() -> None:
    with pytest.raises(CommandError, match="Choose another name"):
        call_command("container_role", str(connection.settings_dict["USER"]))


@pytest.mark.long
def test_job_is_planned_again_when_another_engine_made_its_plan(run: Run, short_clip: Path, tmp_path: Path) -> None:
    # The container deletes the units of the old plan: the only rows that it may delete.
    attempt = submitted_attempt(upload(short_clip))
    brake = EncoderBrake(tmp_path)
    first = run(attempt, **brake.environment)
    brake.wait_for_encoder(first.pid)
    assert Unit.objects.filter(job=attempt.job_id, kind="publish").exists(), "the plan was not made"
    os.kill(first.pid, signal.SIGKILL)
    first.end()
    lose_attempt(attempt)
    Job.objects.update(plan={**Job.objects.get().plan, "engine": "an older one"}, next_attempt_at=Now())
    code, lines = run(submitted_attempt(attempt.job.video)).wait()
    assert code == 0, lines
    assert Job.objects.get().state == "SUCCEEDED"
    assert "unit.redo" in event_kinds(Job.objects.get())
