"""Looks at the storage: writes a small object, reads it back, deletes it."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage

from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_FIX = "Check STORAGE_BUCKET, STORAGE_ENDPOINT_URL and the credentials' rights, or that MEDIA_ROOT can be written."


def check_storage() -> Iterator[Finding]:
    """One finding. A storage that only this machine sees is a warning: containers elsewhere would find nothing there."""
    failure = try_storage("doctor", tidy=True, fix=_FIX)
    if failure is not None:
        yield failure
    elif isinstance(default_storage, FileSystemStorage) and not _aws_is_local():
        yield warning(
            "storage",
            f"Files lie in {default_storage.location}, which containers on AWS do not see.",
            fix="Set STORAGE_BUCKET, or mount that folder in the containers too.",
        )
    else:
        yield ok("storage", "A small object was written, read back and deleted.")


def try_storage(folder: str, *, tidy: bool, fix: str) -> Finding | None:
    """Write a small object into the folder, read it back, and with `tidy` delete it. A finding where that goes wrong, else None."""
    content = uuid.uuid4().hex.encode()
    try:
        name = default_storage.save(f"{folder}/{uuid.uuid4().hex}.txt", ContentFile(content))
        try:
            with default_storage.open(name) as stored:
                same = stored.read() == content
        finally:
            if tidy:
                default_storage.delete(name)
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own, and all mean the same here
        return failed("storage", f"It cannot be used: {' '.join(str(error).split())}", fix=fix)
    if same:
        return None
    return failed("storage", "What was read back is not what was written.", fix="Look at caches before the storage.")


def _aws_is_local() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL"))
