"""Checks of the settings that the container program requires.

The program runs them before it claims anything, so a missing setting costs only seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

from .conf import bridge_settings
from .storage.aliases import storages_by_name
from .transcode import EncodeError, check_packages

if TYPE_CHECKING:
    from collections.abc import Iterator


class SettingProblem(NamedTuple):
    """A missing or wrong setting: its code, what is wrong, and the fix.

    Never contains a value that may be secret.
    """

    code: str
    text: str
    hint: str  # named like CheckMessage.hint


def setting_problems() -> list[SettingProblem]:
    """Return the problems that prevent the program from running; an empty list if there are none."""
    return [*_bridge_problems(), *check_database(), *_missing_packages()]


def check_database() -> Iterator[SettingProblem]:
    """Yield the problems of the database setting."""
    fix = "Set DATABASE_URL to postgres://user:password@host:5432/name."
    database = settings.DATABASES["default"]
    engine = str(database.get("ENGINE", ""))
    if engine != "django.db.backends.postgresql":
        text = (
            f"The database engine is {engine or 'not set'}, not PostgreSQL, whose row locks and partial unique indexes"
            " are required."
        )
        yield SettingProblem("batchreel.E004", text, fix)
    elif not database.get("NAME"):
        yield SettingProblem("batchreel.E008", "DATABASE_URL is not set, so there is no database name.", fix)


def _bridge_problems() -> Iterator[SettingProblem]:
    try:
        bridge_settings()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        fix = "See docs/reference/settings.md for every name, its unit and its default."
        yield SettingProblem("batchreel.E001", f"BATCHREEL is invalid: {str(error).rstrip('.')}.", fix)


def _missing_packages() -> Iterator[SettingProblem]:
    try:
        check_packages()
    except EncodeError as error:
        yield SettingProblem(error.code, error.message, "The containers' image needs that extra; a site does not.")


def check_storage() -> Iterator[SettingProblem]:
    """Yield the problem of a machine without the uploads.

    The program does not run this: the folder may be missing on one machine only, so an attempt that finds
    no source there fails as for a broken disk.
    """
    folders = [storage for storage in storages_by_name().values() if isinstance(storage, FileSystemStorage)]
    if not all(Path(storage.location).is_dir() for storage in folders):
        text = "STORAGE_BUCKET is not set and MEDIA_ROOT does not exist, so no source could be fetched."
        fix = "Set STORAGE_BUCKET to the bucket that contains the uploads, or mount the folder that does."
        yield SettingProblem("batchreel.E009", text, fix)
