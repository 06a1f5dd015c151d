"""The edit tick: makes the editions that videos need.

It reads the manifest of the publication, writes about twenty small files, reads them back, and then shows
them. If its worker dies at any point, the video still needs its edition, and the next tick makes another one.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

from django.core.files.base import ContentFile
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...models import NEEDS_EDITION, Video
from ...storage.aliases import published_storage
from ...storage.bucket import bucket_errors
from ...transcode import Publication, TranscodeError, make_edition, verify_playlists
from ...transcode.package.manifest import MANIFEST_NAME
from .rows import BegunEdition, begin_edition, end_edition, show_edition

logger = logging.getLogger(__name__)

RETRY_S = 60
"""Seconds after which an edition is tried again that could not be made: longer than a storage is throttled."""

_DAMAGED = "EDITION_DAMAGED"


def make_editions() -> int:
    """Make editions until `edition_time_limit_s` has passed, and return how many are shown now."""
    conf, shown = bridge_settings(), 0
    stop_at_s = time.monotonic() + conf.edition_time_limit_s
    for video_id in videos_needing_edition().values_list("pk", flat=True)[: conf.edition_limit]:
        if time.monotonic() > stop_at_s:
            break
        shown += _make(video_id)
    return shown


def videos_needing_edition() -> QuerySet[Video]:
    """Return the videos that need an edition now; those whose last one failed come last."""
    waits = Q(edition_failed_at__gt=Now() - timedelta(seconds=RETRY_S))
    return Video.objects.filter(NEEDS_EDITION).exclude(waits).order_by(F("edition_failed_at").asc(nulls_first=True))


def _make(video_id: uuid.UUID) -> bool:
    begun = begin_edition(video_id=video_id)
    if begun is None:
        return False
    try:
        if begun.folder:
            _store(begun)
    except (OSError, TranscodeError, ValueError, LookupError) as error:
        # The storage, or what it has: other videos may do better.
        logger.warning("EDITION_FAILED %s: %s: %s", video_id, type(error).__name__, error)
        end_edition(begun)
        Video.objects.filter(pk=video_id).update(edition_failed_at=Now())
        return False
    return show_edition(begun)


def _store(begun: BegunEdition) -> None:
    manifest = json.loads(_read(f"{begun.base_folder}/{MANIFEST_NAME}"))
    edition = make_edition(manifest, lambda name: _read(f"{begun.base_folder}/{name}"), begun.edits)
    for file in edition.files:
        key = f"{begun.folder}/{file.name}"
        with bucket_errors():
            saved = published_storage.save(key, ContentFile(file.content))
        if saved != key:
            message = f"the storage already has an object {key}, although keys are never reused"
            raise OSError(message)
    _verify(begun, edition)


def _verify(begun: BegunEdition, edition: Publication) -> None:
    """Read each file back. Raises TranscodeError if one is not as it was written."""

    def read(name: str) -> Iterator[bytes]:
        yield _read(f"{begun.folder}/{name}")

    bad = verify_playlists(edition.manifest, read)
    if bad or _read(f"{begun.folder}/{MANIFEST_NAME}") != edition.files[-1].content:
        what = f"{bad[0].name}: {bad[0].reason}" if bad else MANIFEST_NAME
        raise TranscodeError(_DAMAGED, f"An edition was damaged in the storage: {what}.")


def _read(key: str) -> bytes:
    with bucket_errors(), published_storage.open(key, "rb") as file:
        return bytes(file.read())
