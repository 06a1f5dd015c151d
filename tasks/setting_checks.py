"""What the container's program cannot do without. It looks before it claims anything, so that a missing setting costs seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, storages

from .conf import bridge_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class SettingProblem(NamedTuple):
    """A setting that is missing or wrong: its code, what is wrong, and the way out. None holds a value that may be secret."""

    code: str
    text: str
    hint: str


def setting_problems() -> list[SettingProblem]:
    """Return what keeps the program from working; nothing where all is set."""
    return [*_bridge_problems(), *check_database(), *_storage_problems()]


def check_database() -> Iterator[SettingProblem]:
    """Yield what is wrong with the database's setting."""
    hint = "Set DATABASE_URL to postgres://user:password@host:5432/name."
    database = settings.DATABASES["default"]
    engine = str(database.get("ENGINE", ""))
    if engine != "django.db.backends.postgresql":
        text = (
            f"The database is {engine or 'not set'}, not PostgreSQL: row locks and partial unique indexes are needed."
        )
        yield SettingProblem("batchreel.E004", text, hint)
    elif not database.get("NAME"):
        yield SettingProblem("batchreel.E008", "No database is named: DATABASE_URL is not set.", hint)


def _bridge_problems() -> Iterator[SettingProblem]:
    try:
        bridge_settings()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        hint = "docs/settings.md lists every name, its unit and its default."
        yield SettingProblem("batchreel.E001", f"BATCHREEL cannot be used: {error}.", hint)


def _storage_problems() -> Iterator[SettingProblem]:
    storage = storages["default"]
    if isinstance(storage, FileSystemStorage) and not Path(storage.location).is_dir():
        text = "STORAGE_BUCKET is not set, and there is no folder at MEDIA_ROOT: no source could be fetched."
        hint = "Set STORAGE_BUCKET to the bucket that holds the uploads, or mount the folder that does."
        yield SettingProblem("batchreel.E009", text, hint)
