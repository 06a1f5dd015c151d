"""Checks from inside a container: settings, database role, storage, ffmpeg, sandbox and disk.

`python -m tasks.doctor` runs them. `manage.py doctor --from-batch` submits that command as a Batch
job and reads its log, because what works on the site's machine may not work on AWS Batch.
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
from ...setting_checks import check_storage, setting_problems
from ...storage.aliases import SOURCES_ALIAS, published_storage, sources_storage, storages_by_name
from ...storage.keys import CONTAINER_DOCTOR_FOLDER, SOURCES
from ...transcode import landlock_abi, try_walls
from ..finding import failed, ok, warning
from .media import check_ffmpeg, check_speech
from .storage import try_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_ROLE_FIX = "Set the secret DATABASE_URL to the URL of a role created with `manage.py container_role`."


def check_from_container() -> Iterator[Finding]:
    """Yield the findings of every check that can run inside a container."""
    yield ok("program", f"Revision {os.environ.get('BATCHREEL_REVISION', 'unknown')} runs on {platform.machine()}.")
    problems = [*setting_problems(), *check_storage()]
    yield from (failed("settings", f"{each.text} ({each.code})", fix=each.hint) for each in problems)
    yield from _database()
    yield from check_ffmpeg()
    yield _sandbox()
    yield from check_speech()
    if problems:
        # The settings choose the storage and the disk: with wrong settings, these checks would test
        # the wrong place.
        return
    yield ok("settings", "Complete.")
    yield from _storages()
    yield _scratch()


def _database() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            (role,) = cursor.fetchone()
            missing = [privilege for privilege in _required_privileges() if not _has(privilege)]
            cursor.execute(
                "SELECT has_table_privilege(to_regclass('auth_user'), 'SELECT'),"
                " has_schema_privilege('public', 'CREATE')"
            )
            reads_accounts, creates_tables = cursor.fetchone()
    except DatabaseError as error:
        text = str(error).strip().splitlines()[0]
        advice = "Check the secret DATABASE_URL, and that the containers' subnets and security groups allow access to the database."
        yield failed("database", f"The database is unavailable: {text}", fix=advice)
        return
    if missing:
        examples = ", ".join(f"{right} {table}.{column}" for table, column, right in missing[:3])
        yield failed("database", f"Role {role} lacks {len(missing)} privileges, such as {examples}.", fix=_ROLE_FIX)
    elif reads_accounts:
        yield warning("database", f"Reachable, but role {role} can read the site's user accounts.", fix=_ROLE_FIX)
    elif creates_tables:
        yield warning(
            "database",
            f"Reachable, but role {role} can create tables in schema public.",
            fix="Run `manage.py container_role` with its name again, which revokes that right or names who can.",
        )
    else:
        yield ok("database", f"Reachable, and role {role} has exactly the privileges that containers need.")


def _required_privileges() -> Iterator[tuple[str, str, str]]:
    """Yield (table, column, privilege) for everything that a container's services do."""
    for grant in GRANTS:
        about = grant.model._meta  # noqa: SLF001 - Django's documented API
        columns = {field.name: str(field.column) for field in about.concrete_fields}
        for name in grant.read or columns:
            yield about.db_table, columns[name], "SELECT"
        for name in grant.update:
            yield about.db_table, columns[name], "UPDATE"
        if grant.insert:
            yield about.db_table, str(about.pk.column), "INSERT"


def _has(privilege: tuple[str, str, str]) -> bool:
    table, column, right = privilege
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_column_privilege(%s, %s, %s)", [table, column, right])
        return bool(cursor.fetchone()[0])


def _sandbox() -> Finding:
    walls = try_walls()
    if walls.environment_bytes:
        return failed(
            "sandbox",
            f"ffmpeg can read {walls.environment_bytes} bytes of the container's environment, which has its credentials.",
            fix="Run the image as its own user (10001), not as root or privileged, without CAP_SYS_PTRACE and without an"
            " init process (initProcessEnabled, --init).",
        )
    if walls.sockets or walls.metadata:
        reach = ", and reaches the credentials of the machine's role" if walls.metadata else ""
        return failed(
            "sandbox",
            f"ffmpeg can open {walls.sockets} kinds of sockets{reach}: the kernel refused the seccomp filter.",
            fix="Run containers with Docker or containerd on x86_64 or arm64, on a kernel with seccomp filters.",
        )
    if "files" in walls.breaches:
        return warning(
            "sandbox",
            "ffmpeg has no network and sees no credentials, but it can use all files of its container: the kernel has no"
            " Landlock.",
            fix="Use a machine image with Linux 5.13 or newer whose `lsm` list contains landlock.",
        )
    return ok(
        "sandbox",
        f"ffmpeg has no network, sees no credentials and uses only its own files (Landlock {landlock_abi()}).",
    )


def _storages() -> Iterator[Finding]:
    """Yield the finding of each storage. A container only reads uploads."""
    advice = "Check STORAGE_BUCKET, the policy of the containers' IAM role, and the route from their subnets to S3."
    yield try_storage(CONTAINER_DOCTOR_FOLDER, storage=published_storage, cleanup=False, fix=advice) or ok(
        "storage", "A small object was written and read back."
    )
    if len(storages_by_name()) > 1:
        yield _sources(advice)


def _sources(advice: str) -> Finding:
    part = f"storage {SOURCES_ALIAS}"
    try:
        sources_storage.exists(f"{SOURCES}/doctor")
    except Exception as error:  # noqa: BLE001 - each storage raises its own errors, and all mean the same here
        return failed(part, f"Cannot be read: {' '.join(str(error).split())}", fix=advice)
    return ok(part, "It responds.")


def _scratch() -> Finding:
    folder = tempfile.gettempdir()
    free_gib = shutil.disk_usage(folder).free / 1024**3
    wanted_gib = bridge_settings().scratch_reserve_mib / 1024
    if free_gib < wanted_gib:
        return failed(
            "scratch",
            f"{folder} has {free_gib:.1f} GiB free, less than the {wanted_gib:g} GiB needed in addition to a source.",
            fix="Give the instances a larger disk (scratch_gib in Terraform).",
        )
    return ok("scratch", f"{folder} has {free_gib:.0f} GiB free.")
