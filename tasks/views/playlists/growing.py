"""Growing playlists: what players read of a video that is still being made.

They are served next to the folders of the units, so the names in them are those of the published
playlists. Once the job has published, the same URL has the published ones, and players that began before
continue without a break. If the job ends otherwise, the response is 410, and players stop.
"""

from __future__ import annotations

import gzip
import posixpath
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext

from ...conf import bridge_settings
from ...lifecycle.states import ACTIVE_JOB_STATES, JobState
from ...models import Job
from ...selectors.growing import ListedUnits, growing, listed_units, was_planned_again
from ...selectors.media_urls import media_url
from ...selectors.videos import reason_text
from ...storage.aliases import published_bucket, published_storage
from ...storage.keys import GROWING_PREFIX, PUBLISHED_PREFIX
from ...transcode.package.hls import GROWING_TYPE, WHOLE_TYPE
from ...transcode.package.playlists import CAPTIONS_NAME
from ..access import json_error
from .kept_texts import KeptTexts
from .signed import SITE_SUFFIXES, contains_names, sign
from .signed_texts import accepts_gzip, presigned_url, signing_window

_PLACE = re.compile(
    rf"{re.escape(PUBLISHED_PREFIX)}[^/]+/(?P<job>[0-9a-f-]{{36}})/{re.escape(GROWING_PREFIX)}(?P<fence>\d{{1,9}})/(?P<name>[^/]+)"
)

_KEPT_BYTES = 8 * 1024 * 1024
"""Compressed texts that a process keeps: those of 20 lectures of three hours that are watched while they are made."""

_kept = KeptTexts(max_bytes=_KEPT_BYTES)


class Place(NamedTuple):
    """What the key of a growing playlist names."""

    job_id: uuid.UUID
    plan_fence: int
    name: str


def growing_place(key: str) -> Place | None:
    """Return what the key names, or None if it is not one of a growing playlist."""
    found = _PLACE.fullmatch(key)
    try:
        return Place(uuid.UUID(found["job"]), int(found["fence"]), found["name"]) if found else None
    except ValueError:
        return None


def growing_playlist(request: HttpRequest, key: str, place: Place, *, content_type: str) -> HttpResponseBase:
    """Respond with a playlist or captions as far as the job is now, or with the published playlist (200).

    Published captions are a file of any author's size, so that is a redirect to them (302).
    404 if nothing can be played yet, or the job has no such playlist; 410 if the job has ended without a
    publication, or was planned again, or its plan cannot be read: a player then stops.
    """
    video_id = key.split("/")[1]
    job = Job.objects.filter(pk=place.job_id, video_id=video_id).defer("plan").first()
    if job is None or posixpath.splitext(place.name)[1] not in SITE_SUFFIXES:
        raise Http404
    if job.state == JobState.SUCCEEDED and was_planned_again(job.pk, place.plan_fence):
        return _planned_again()
    if job.state == JobState.SUCCEEDED and not contains_names(key):
        return HttpResponseRedirect(media_url(_published_key(job, place.name)), headers={"Cache-Control": "no-store"})
    if job.state == JobState.SUCCEEDED:
        packed = _published(_published_key(job, place.name), key)
    elif job.state not in ACTIVE_JOB_STATES:
        message = gettext("Processing has ended before the video was complete.")
        return json_error(410, "PROCESSING_ENDED", f"{message} {reason_text(job)}".rstrip())
    else:
        listed = listed_units(job.pk)
        if listed is None or listed.plan_fence != place.plan_fence:
            return _planned_again()
        try:
            packed = _kept.get((listed, key, signing_window(key)), lambda: _rendered(listed, key, place.name))
        except _NothingYetError:
            return json_error(
                404, "NOTHING_YET", gettext("Nothing of the video can be watched yet. Reload the page later.")
            )
    return _response(request, packed, content_type)


class _NothingYetError(Exception):
    """No segment can be listed."""


def _planned_again() -> HttpResponseBase:
    return json_error(410, "PLANNED_AGAIN", gettext("Processing has started over. Reload the page."))


def _response(request: HttpRequest, packed: bytes, content_type: str) -> HttpResponse:
    is_packed = accepts_gzip(request)
    body = packed if is_packed else gzip.decompress(packed)
    # Not every WSGI server drops the body of a response to HEAD.
    response = HttpResponse(b"" if request.method == "HEAD" else body, content_type=content_type)
    response["Content-Length"] = str(len(body))
    if is_packed:
        response["Content-Encoding"] = "gzip"
    patch_vary_headers(response, ["Accept-Encoding"])
    response["Cache-Control"] = "no-store"
    return response


def _rendered(listed: ListedUnits, key: str, name: str) -> bytes:
    tracks = growing(listed)
    if tracks is None:
        raise Http404
    if not tracks.segments:
        raise _NothingYetError
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = tracks.text(name, now=now)
    if text is None:
        raise Http404
    return _packed(text, key)


def _published_key(job: Job, name: str) -> str:
    return f"{posixpath.dirname(job.shown_playlist_key)}/{name}"


def _published(published_key: str, key: str) -> bytes:
    try:
        return _kept.get((published_key, key, signing_window(key)), lambda: _published_text(published_key, key))
    except FileNotFoundError:
        raise Http404 from None


def _published_text(published_key: str, key: str) -> bytes:
    """Return a published text for players that began with a growing one, whose type must not change."""
    with published_storage.open(published_key, "rb") as file:
        text = file.read().decode()
    # Captions never had a growing one.
    has_grown = not posixpath.basename(key).startswith(CAPTIONS_NAME)
    return _packed(text.replace(WHOLE_TYPE, GROWING_TYPE, 1) if has_grown else text, key)


def _packed(text: str, key: str) -> bytes:
    """Return the text, compressed, with the URLs from which a browser can read the media."""
    url_of: Callable[[str], str] | None = None
    if bridge_settings().media_base_url:
        url_of = media_url
    elif published_bucket() is not None:
        url_of = presigned_url
    return gzip.compress((sign(text, key=key, url_of=url_of) if url_of else text).encode(), compresslevel=6, mtime=0)
