"""Removal of folders of stored objects: from a bucket, or from any other storage of Django.

A bucket is listed and emptied 1,000 objects per call. Other storages, such as a folder on a laptop,
are walked with Django's storage API, one object per call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from django.core.files.storage import default_storage

from .bucket import Bucket, default_bucket


def remove_folders(
    *folders: str, names: Collection[str] = (), keep: Collection[str] = (), before_call: Callable[[], object]
) -> None:
    """Delete all objects in the folders, and those named in `names`, but none in a folder named in `keep`.

    Objects and folders that do not exist are not an error. `before_call` is called before each call that
    deletes; if it raises, the remaining objects stay, and another call of this function continues.
    """
    bucket = default_bucket()
    if bucket is None:
        for folder in folders:
            _empty(folder, keep, before_call)
        for name in names:
            before_call()
            default_storage.delete(name)
        return
    bucket.delete_objects(_full_keys(bucket, folders, names, keep), before_call=before_call)


def _full_keys(
    bucket: Bucket, folders: Collection[str], names: Collection[str], keep: Collection[str]
) -> Iterator[str]:
    kept = tuple(f"{bucket.full_key(folder)}/" for folder in keep)
    for folder in folders:
        yield from (key for key in bucket.keys_under(folder) if not key.startswith(kept))
    yield from (bucket.full_key(name) for name in names)


def _empty(folder: str, keep: Collection[str], before_call: Callable[[], object]) -> None:
    if folder in keep:
        return
    folders, files = _listed(folder)
    for name in files:
        before_call()
        default_storage.delete(f"{folder}/{name}")
    for name in folders:
        _empty(f"{folder}/{name}", keep, before_call)
    # The directory of a file system, unless something in it was kept. Other storages have none and ignore this.
    if not any(_listed(folder)):
        default_storage.delete(folder)


def _listed(folder: str) -> tuple[list[str], list[str]]:
    try:
        return default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []
