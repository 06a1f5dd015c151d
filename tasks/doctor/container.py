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

from tasks.conf import bridge_settings
from tasks.container.database_role import GRANTS
from tasks.container.settings_check import setting_problems
from tasks.doctor.finding import unwell, warning, well
from tasks.doctor.media import look_at_ffmpeg
from tasks.doctor.storage import try_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.doctor.finding import Finding

FOLDER = "published/doctor"
"""Where a container may write. It may delete nothing, so the site takes its object away."""

_ROLE = "Let containers connect as a role that `manage.py container_role` made: its address is the secret DATABASE_URL."


def look_from_container() -> Iterator[Finding]:
    """All that can be told from inside."""
    yield well("program", f"Revision {os.environ.get('BATCHREEL_REVISION', 'unknown')} runs on {platform.machine()}.")
    problems = setting_problems()
    yield from (unwell("settings", f"{each.text} ({each.code})", mend=each.hint) for each in problems)
    yield from _database()
    yield from look_at_ffmpeg()
    if problems:
        # The storage and the disk are looked at as the settings say: with wrong ones, that would be another place.
        return
    yield well("settings", "Nothing is missing.")
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
        yield unwell("database", f"It does not answer: {text}", mend=advice)
        return
    if lacking:
        named = ", ".join(f"{right} {table}.{column}" for table, column, right in lacking[:3])
        yield unwell("database", f"{role} lacks {len(lacking)} rights, such as {named}.", mend=_ROLE)
    elif reads_accounts:
        yield warning("database", f"It answers, and {role} may read the site's accounts.", mend=_ROLE)
    else:
        yield well("database", f"It answers, and {role} may do what containers do, and no more.")


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
    return try_storage(FOLDER, tidy=False, mend=advice) or well("storage", "A small object was written and read back.")


def _scratch() -> Finding:
    folder = tempfile.gettempdir()
    free_gib = shutil.disk_usage(folder).free / 1024**3
    wanted_gib = bridge_settings().scratch_reserve_mib / 1024
    if free_gib < wanted_gib:
        return unwell(
            "scratch",
            f"{folder} has {free_gib:.1f} GiB free, less than the {wanted_gib:g} GiB that are needed beside a source.",
            mend="Give machines a larger disk (scratch_gib in Terraform).",
        )
    return well("scratch", f"{folder} has {free_gib:.0f} GiB free.")
