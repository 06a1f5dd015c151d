"""What a publication contains, as its manifest in the storage lists it: captions, and the map of the thumbnails."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..models import Job
from ..storage.aliases import published_storage
from ..storage.bucket import bucket_errors
from ..transcode.package.manifest import MANIFEST_NAME
from .media_urls import media_url

_KEPT_PUBLICATIONS = 512


class Contents(NamedTuple):
    """Captions and thumbnails of a publication, by keys in the storage."""

    captions: tuple[Mapping[str, Any], ...] = ()
    """`name`, `language`, `purpose`, `cues`, and the keys `url` and `playlist`."""
    thumbnails: str = ""
    """Key of the WebVTT map of the thumbnails; empty if there are none."""


def contents_of(job: Job | None) -> Contents:
    """Return what the manifest of a published job lists; nothing for None, or if it has no manifest any more.

    Raises BucketError. A publication never changes, so each process reads a manifest once.
    """
    if job is None or not job.playlist_key:
        return Contents()
    try:
        return _read(posixpath.dirname(job.shown_playlist_key))
    except FileNotFoundError:
        return Contents()


def caption_urls(contents: Contents) -> list[dict[str, Any]]:
    """Return the caption tracks with URLs in place of keys."""
    return [
        {**each, "url": media_url(each["url"]), "playlist": media_url(each["playlist"])} for each in contents.captions
    ]


@lru_cache(maxsize=_KEPT_PUBLICATIONS)
def _read(folder: str) -> Contents:
    with bucket_errors(), published_storage.open(f"{folder}/{MANIFEST_NAME}") as file:
        manifest = json.load(file)

    def key(name: str) -> str:
        return posixpath.normpath(f"{folder}/{name}")

    captions = tuple(
        {**each, "url": key(each["url"]), "playlist": key(each["playlist"])} for each in manifest["captions"]
    )
    return Contents(captions, key(manifest["thumbnails"]) if manifest["thumbnails"] else "")
