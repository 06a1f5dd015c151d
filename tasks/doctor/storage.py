"""Looks at the storage: writes a small object, reads it back, deletes it."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage

from tasks.doctor.finding import unwell, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.doctor.finding import Finding

_MEND = "Check STORAGE_BUCKET, STORAGE_ENDPOINT_URL and the credentials' rights, or that MEDIA_ROOT can be written."


def look_at_storage() -> Iterator[Finding]:
    """One finding. A storage that only this machine sees is a warning: containers elsewhere would find nothing there."""
    trouble = try_storage("doctor", tidy=True, mend=_MEND)
    if trouble is not None:
        yield trouble
    elif isinstance(default_storage, FileSystemStorage) and not _aws_is_local():
        yield warning(
            "storage",
            f"Files lie in {default_storage.location}, which containers on AWS do not see.",
            mend="Set STORAGE_BUCKET, or mount that folder in the containers too.",
        )
    else:
        yield well("storage", "A small object was written, read back and deleted.")


def try_storage(folder: str, *, tidy: bool, mend: str) -> Finding | None:
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
        return unwell("storage", f"It cannot be used: {' '.join(str(error).split())}", mend=mend)
    if same:
        return None
    return unwell("storage", "What was read back is not what was written.", mend="Look at caches before the storage.")


def _aws_is_local() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL"))
