"""Removal of folders of stored objects: from a bucket, or from any other storage of Django.

A bucket is listed and emptied 1,000 objects per call. Other storages, such as a folder on a laptop,
are walked with Django's storage API, one object per call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from django.core.files.storage import Storage

from .aliases import storage_of, storages_by_name
from .bucket import Bucket, bucket_of


def remove_folders(
    *folders: str,
    names: Collection[str] = (),
    keep: Collection[str] = (),
    keep_prefix: str = "",
    before_call: Callable[[], object],
) -> None:
    """Delete all objects in the folders, and those named in `names`, but none in a folder named in `keep`.

    With `keep_prefix`, folders directly in them whose names begin with it are kept, too: also one that is new.
    Objects and folders that do not exist are not an error. `before_call` is called before each call that
    deletes; if it raises, the remaining objects stay, and another call of this function continues.
    """
    found = list(storages_by_name().values())
    for storage in found:
        has_all = len(found) == 1
        here = [folder for folder in folders if has_all or storage_of(folder) is storage]
        named = [name for name in names if has_all or storage_of(name) is storage]
        if bucket := bucket_of(storage):
            full_keys = _full_keys(bucket, here, named, keep, _prefixes(here, keep_prefix))
            bucket.delete_objects(full_keys, before_call=before_call)
            continue
        for folder in here:
            _empty(storage, folder, keep, before_call, _prefixes([folder], keep_prefix))
        for name in named:
            before_call()
            storage.delete(name)


def _full_keys(
    bucket: Bucket,
    folders: Collection[str],
    names: Collection[str],
    keep: Collection[str],
    kept_prefixes: Collection[str],
) -> Iterator[str]:
    kept = (*(f"{bucket.full_key(folder)}/" for folder in keep), *map(bucket.full_key, kept_prefixes))
    for folder in folders:
        yield from (key for key in bucket.keys_under(folder) if not key.startswith(kept))
    yield from (bucket.full_key(name) for name in names)


def _prefixes(folders: Collection[str], keep_prefix: str) -> list[str]:
    return [f"{folder}/{keep_prefix}" for folder in folders if keep_prefix]


def _empty(
    storage: Storage,
    folder: str,
    keep: Collection[str],
    before_call: Callable[[], object],
    kept_prefixes: Collection[str] = (),
) -> None:
    if folder in keep or folder.startswith(tuple(kept_prefixes)):
        return
    folders, files = _listed(storage, folder)
    for name in files:
        before_call()
        storage.delete(f"{folder}/{name}")
    for name in folders:
        _empty(storage, f"{folder}/{name}", keep, before_call, kept_prefixes)
    # The directory of a file system, unless something in it was kept. Other storages have none and ignore this.
    if not any(_listed(storage, folder)):
        storage.delete(folder)


def _listed(storage: Storage, folder: str) -> tuple[list[str], list[str]]:
    try:
        return storage.listdir(folder)
    except FileNotFoundError:
        return [], []
