"""What a container finds where it runs: its settings, its database role, its storage, ffmpeg, its disk. `python -m tasks.doctor` says it.

`manage.py doctor --from-batch` submits that as a Batch job and reads its log, for what works from here may not work from there.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from typing import TYPE_CHECKING

from django.db import DatabaseError, connection

from ...conf import bridge_settings
from ...database_role import GRANTS
from ...setting_checks import setting_problems
from ...storage.keys import DOCTOR_FOLDER
from ..finding import failed, ok, warning
from .media import check_ffmpeg
from .storage import try_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_ROLE = "Let containers connect as a role that `manage.py container_role` made: its address is the secret DATABASE_URL."


def check_from_container() -> Iterator[Finding]:
    """All that can be told from inside."""
    yield ok("program", f"Revision {os.environ.get('BATCHREEL_REVISION', 'unknown')} runs on {platform.machine()}.")
    problems = setting_problems()
    yield from (failed("settings", f"{each.text} ({each.code})", fix=each.hint) for each in problems)
    yield from _database()
    yield from check_ffmpeg()
    if problems:
        # The storage and the disk are looked at as the settings say: with wrong ones, that would be another place.
        return
    yield ok("settings", "Nothing is missing.")
    yield _storage()
    yield _scratch()


def _database() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            (role,) = cursor.fetchone()
            lacking = [what for what in _needed_rights() if not _has(what)]
            cursor.execute("SELECT has_table_privilege(to_regclass('auth_user'), 'SELECT')")
            (reads_accounts,) = cursor.fetchone()
    except DatabaseError as error:
        text = str(error).strip().splitlines()[0]
        advice = (
            "Check the secret DATABASE_URL, and that the containers' subnets and security groups reach the database."
        )
        yield failed("database", f"It does not answer: {text}", fix=advice)
        return
    if lacking:
        named = ", ".join(f"{right} {table}.{column}" for table, column, right in lacking[:3])
        yield failed("database", f"{role} lacks {len(lacking)} rights, such as {named}.", fix=_ROLE)
    elif reads_accounts:
        yield warning("database", f"It answers, and {role} may read the site's accounts.", fix=_ROLE)
    else:
        yield ok("database", f"It answers, and {role} may do what containers do, and no more.")


def _needed_rights() -> Iterator[tuple[str, str, str]]:
    """(table, column, right) of all that a container's services do."""
    for grant in GRANTS:
        about = grant.model._meta  # noqa: SLF001 - Django's documented API
        columns = {field.name: str(field.column) for field in about.concrete_fields}
        for name in grant.read or columns:
            yield about.db_table, columns[name], "SELECT"
        for name in grant.update:
            yield about.db_table, columns[name], "UPDATE"
        if grant.insert:
            yield about.db_table, str(about.pk.column), "INSERT"


def _has(needed: tuple[str, str, str]) -> bool:
    table, column, right = needed
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_column_privilege(%s, %s, %s)", [table, column, right])
        return bool(cursor.fetchone()[0])


def _storage() -> Finding:
    advice = "Check STORAGE_BUCKET, the policy of the containers' role, and a way to S3 from their subnets."
    return try_storage(DOCTOR_FOLDER, tidy=False, fix=advice) or ok(
        "storage", "A small object was written and read back."
    )


def _scratch() -> Finding:
    folder = tempfile.gettempdir()
    free_gib = shutil.disk_usage(folder).free / 1024**3
    wanted_gib = bridge_settings().scratch_reserve_mib / 1024
    if free_gib < wanted_gib:
        return failed(
            "scratch",
            f"{folder} has {free_gib:.1f} GiB free, less than the {wanted_gib:g} GiB that are needed beside a source.",
            fix="Give machines a larger disk (scratch_gib in Terraform).",
        )
    return ok("scratch", f"{folder} has {free_gib:.0f} GiB free.")
