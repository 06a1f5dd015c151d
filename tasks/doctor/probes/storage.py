"""Storage check: write a small object, read it back, delete it."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage

from ...storage.folders import remove_folders
from ...storage.keys import SITE_DOCTOR_FOLDER
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_FIX = (
    "Check STORAGE_BUCKET, STORAGE_ENDPOINT_URL and the permissions of the credentials, or that MEDIA_ROOT is writable."
)


def check_storage() -> Iterator[Finding]:
    """Yield one finding.

    Storage that only this machine can access is a warning: containers elsewhere would not see the
    files.
    """
    failure = try_storage(SITE_DOCTOR_FOLDER, cleanup=True, fix=_FIX)
    if failure is not None:
        yield failure
    elif isinstance(default_storage, FileSystemStorage) and not _aws_is_local():
        yield warning(
            "storage",
            f"Files are in {default_storage.location}, which containers on AWS cannot access.",
            fix="Set STORAGE_BUCKET, or mount that folder in the containers as well.",
        )
    else:
        yield ok("storage", "A small object was written, read back and deleted.")


def try_storage(folder: str, *, cleanup: bool, fix: str) -> Finding | None:
    """Write a small object to the folder, read it back, and delete it if `cleanup`.

    Return a finding on failure, else None.
    """
    content = uuid.uuid4().hex.encode()
    try:
        name = default_storage.save(f"{folder}/{uuid.uuid4().hex}.txt", ContentFile(content))
        try:
            with default_storage.open(name) as stored:
                same = stored.read() == content
        finally:
            if cleanup:
                # As the purge tick deletes: some stores refuse DeleteObjects although they allow DeleteObject.
                remove_folders(names=[name], before_call=_unlimited)
    except Exception as error:  # noqa: BLE001 - each storage raises its own errors, and all mean the same here
        return failed("storage", f"Cannot be used: {' '.join(str(error).split())}", fix=fix)
    if same:
        return None
    return failed(
        "storage",
        "Reading back returned other content than was written.",
        fix="Check for caches in front of the storage.",
    )


def _unlimited() -> None:
    """Set no time limit."""


def _aws_is_local() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL"))
