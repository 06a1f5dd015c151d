"""What a video offers: the captions and thumbnails that its manifest in the storage lists, and its chapters."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from ..models import Captions, Job, Video
from ..storage.aliases import published_storage
from ..storage.bucket import bucket_errors
from ..transcode import ChapterMark
from ..transcode.caption_files.read import preview
from ..transcode.chapters import described
from ..transcode.package.edition import chapters_of
from ..transcode.package.manifest import MANIFEST_NAME
from .media_urls import media_url

_KEPT_PUBLICATIONS = 512
_LATE_MS = 10_000
"""Milliseconds after the end for which cues may last: programs let the last one stay."""


class Contents(NamedTuple):
    """Captions and thumbnails of a publication, by keys in the storage."""

    captions: tuple[Mapping[str, Any], ...] = ()
    """`name`, `language`, `purpose`, `cues`, `automatic`, and the keys `url` and `playlist`."""
    thumbnails: str = ""
    """Key of the WebVTT map of the thumbnails; empty if there are none."""


def contents_of(job: Job | None, *, as_made: bool = False) -> Contents:
    """Return what the manifest of a published job lists; nothing for None, or if it has no manifest any more.

    With `as_made`, without what people changed since.

    Raises BucketError. A publication never changes, so each process reads a manifest once.
    """
    if job is None or not job.playlist_key:
        return Contents()
    try:
        return _read(posixpath.dirname(job.playlist_key if as_made else job.shown_playlist_key))
    except FileNotFoundError:
        return Contents()


def caption_urls(contents: Contents) -> list[dict[str, Any]]:
    """Return the caption tracks with URLs in place of keys."""
    return [
        {**each, "url": media_url(each["url"]), "playlist": media_url(each["playlist"])} for each in contents.captions
    ]


def entered_chapters(video: Video) -> tuple[ChapterMark, ...] | None:
    """Return the chapters that a person entered, each until the next one; None for those of the file."""
    if video.chapters is None:
        return None
    return tuple(ChapterMark(row["start_ms"], None, row["title"]) for row in video.chapters)


def shown_chapters(video: Video) -> list[dict[str, Any]]:
    """Return the chapters of the published video, with `start_s`, `end_s` and `title`.

    Entered ones are shown at once; the playlists have them after the next edit tick.
    """
    job = video.published_job
    if job is None:
        return []
    entered = entered_chapters(video)
    if entered is None:
        return list(job.chapters)
    return [described(each) for each in chapters_of((), entered, duration_s=Fraction(job.duration_s or 0))]


class ListedCaptions(NamedTuple):
    """Captions that a person added, for the page of those who may change the video."""

    captions: Captions
    is_shown: bool
    """Whether the playlists have them as they are now."""
    ends_late: bool
    """Whether they last beyond the end of the published video: they may be those of another recording."""
    preview: list[tuple[str, str]]
    """When the first cues are shown, and their text."""


def listed_captions(video: Video) -> list[ListedCaptions]:
    """Return the captions that people added to the video."""
    job = video.published_job
    end_ms = None if job is None or job.duration_s is None else job.duration_s * 1000 + _LATE_MS
    return [
        ListedCaptions(
            each,
            job is not None and video.shown_edit >= each.edit,
            end_ms is not None and each.end_ms > end_ms,
            preview(each.webvtt),
        )
        for each in Captions.objects.filter(video=video)
    ]


@lru_cache(maxsize=_KEPT_PUBLICATIONS)
def _read(folder: str) -> Contents:
    with bucket_errors(), published_storage.open(f"{folder}/{MANIFEST_NAME}") as file:
        manifest = json.load(file)

    def key(name: str) -> str:
        return posixpath.normpath(f"{folder}/{name}")

    captions = tuple(
        {"automatic": False, **each, "url": key(each["url"]), "playlist": key(each["playlist"])}
        for each in manifest["captions"]
    )
    return Contents(captions, key(manifest["thumbnails"]) if manifest["thumbnails"] else "")
