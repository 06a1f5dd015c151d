"""Storage check: write a small object, read it back, delete it."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage

from ...conf import bridge_settings
from ...storage.aliases import DEFAULT_ALIAS, storages_by_name
from ...storage.bucket import bucket_of
from ...storage.keys import SITE_DOCTOR_FOLDER
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_FIX = (
    "Check STORAGE_BUCKET, STORAGE_ENDPOINT_URL and the permissions of the credentials, or that MEDIA_ROOT is writable."
)
_UNSEEN_FIX = (
    "Set STORAGE_BUCKET, or mount the folder in the containers as well; for storages of your own, run containers with your own"
    " image and settings (container_settings_module in BATCHREEL)."
)


def check_storage() -> Iterator[Finding]:
    """Yield one finding for each storage: that of published objects, and that of uploads if it is another one.

    Storage that only this machine can access is a warning: containers elsewhere would not see the
    files. So is one that containers do not have in their settings.
    """
    found = storages_by_name()
    for name, storage in found.items():
        part = "storage" if name == DEFAULT_ALIAS else f"storage {name}"
        failure = try_storage(SITE_DOCTOR_FOLDER, storage=storage, part=part, cleanup=True, fix=_FIX)
        if failure is not None:
            yield failure
        elif unseen := _unseen(name, storage):
            yield warning(part, unseen, fix=_UNSEEN_FIX)
        else:
            yield ok(part, "A small object was written, read back and deleted.")


def _unseen(name: str, storage: Storage) -> str:
    """Return why containers cannot use the storage as this site does, or an empty string."""
    if isinstance(storage, FileSystemStorage):
        return "" if _aws_is_local() else f"Files are in {storage.location}, which containers on AWS cannot access."
    module = bridge_settings().container_settings_module
    if module == os.environ.get("DJANGO_SETTINGS_MODULE"):
        return ""
    if name != DEFAULT_ALIAS:
        return f"Containers run with {module}, which has no storage {name!r}, so they would use its default one."
    if location := str(getattr(storage, "location", "")).strip("/"):
        return f"Its objects are below {location!r}, which containers that run with {module} do not have as location."
    return ""


def try_storage(folder: str, *, storage: Storage, part: str = "storage", cleanup: bool, fix: str) -> Finding | None:
    """Write a small object to the folder, read it back, and delete it if `cleanup`.

    Return a finding on failure, else None.
    """
    content = uuid.uuid4().hex.encode()
    try:
        name = storage.save(f"{folder}/{uuid.uuid4().hex}.txt", ContentFile(content))
        try:
            with storage.open(name) as stored:
                same = stored.read() == content
        finally:
            if cleanup:
                # As the purge tick deletes: some stores refuse DeleteObjects although they allow DeleteObject.
                _remove(storage, name)
    except Exception as error:  # noqa: BLE001 - each storage raises its own errors, and all mean the same here
        return failed(part, f"Cannot be used: {' '.join(str(error).split())}", fix=fix)
    if same:
        return None
    return failed(
        part,
        "Reading back returned other content than was written.",
        fix="Check for caches in front of the storage.",
    )


def _remove(storage: Storage, name: str) -> None:
    if bucket := bucket_of(storage):
        bucket.delete_objects(iter([bucket.full_key(name)]), before_call=lambda: None)
    else:
        storage.delete(name)


def _aws_is_local() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL"))
