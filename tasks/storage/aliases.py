"""Django's storages of uploads and of published objects: two names in STORAGES, or else the default storage."""

from __future__ import annotations

from django.conf import settings
from django.core.files.storage import DefaultStorage, Storage, storages
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.functional import empty

from .bucket import Bucket, bucket_of
from .keys import PUBLISHED_PREFIX

SOURCES_ALIAS = "batchreel_sources"
PUBLISHED_ALIAS = "batchreel_published"
DEFAULT_ALIAS = "default"


class _Sources(DefaultStorage):
    def _setup(self) -> None:
        self._wrapped = _storage(SOURCES_ALIAS)


class _Published(DefaultStorage):
    def _setup(self) -> None:
        self._wrapped = _storage(PUBLISHED_ALIAS)


sources_storage: Storage = _Sources()  # type: ignore[assignment]  # a proxy of one
"""Where uploads are."""

published_storage: Storage = _Published()  # type: ignore[assignment]  # a proxy of one
"""Where the objects are that browsers load."""


def sources_bucket() -> Bucket | None:
    """Return the bucket of the uploads, or None if their storage is not a bucket."""
    return bucket_of(sources_storage)


def published_bucket() -> Bucket | None:
    """Return the bucket of the published objects, or None if their storage is not a bucket."""
    return bucket_of(published_storage)


def source_field_storage() -> Storage:
    """Return the storage of the field `Video.source`. Migrations name this function, so they fit every site."""
    return sources_storage


def storage_of(key: str) -> Storage:
    """Return the storage of the object with this key: what is below `published/` is published."""
    return published_storage if f"{key}/".startswith(PUBLISHED_PREFIX) else sources_storage


def storages_by_name() -> dict[str, Storage]:
    """Return the storages by their names in STORAGES: of published objects, and of uploads if it is another one."""
    return {_name(PUBLISHED_ALIAS): published_storage} | (
        {} if _name(SOURCES_ALIAS) == _name(PUBLISHED_ALIAS) else {_name(SOURCES_ALIAS): sources_storage}
    )


def _name(alias: str) -> str:
    return alias if alias in settings.STORAGES else DEFAULT_ALIAS


def _storage(alias: str) -> Storage:
    storage: Storage = storages[_name(alias)]
    return storage


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    if setting in {"STORAGES", "MEDIA_ROOT", "MEDIA_URL"}:
        for proxy in (sources_storage, published_storage):
            proxy._wrapped = empty  # type: ignore[attr-defined]  # noqa: SLF001 - as Django's own receiver does
