"""Published objects for players: a folder's files with byte ranges, a private bucket's playlists with presigned URLs.

A source that plays directly is served the same way until something is published.

With MEDIA_BASE_URL (a CDN or a public bucket), browsers use that URL and never request these views.
"""

from __future__ import annotations

import gzip
import posixpath
import uuid
from pathlib import Path
from typing import IO

from django.core.exceptions import SuspiciousFileOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from ..selectors.publication import shown_chapters
from ..selectors.videos import plays_directly
from ..storage.aliases import published_bucket, sources_bucket, storage_of
from ..storage.bucket import Bucket
from ..storage.keys import PUBLISHED_PREFIX
from ..transcode.chapters import chapter_of, chapters_webvtt
from .access import html_view, json_view, video_for
from .byte_range import ByteRange, PartOfFile, UnsatisfiableError, parse_range
from .playlists.growing import growing_place, growing_playlist
from .playlists.signed import contains_names
from .playlists.signed_texts import accepts_gzip, signed_gzip

_CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}

_SOURCE_TYPE = "video/mp4"
"""Also for MOV: Chrome and Firefox reject `video/quicktime`, and play the same file as MP4."""

_BYTES = "application/octet-stream"

_BLOCK_BYTES = 256 * 1024

_CACHE = "private, max-age=31536000, immutable"
"""A key is never reused for other content. Private, because not everyone may see it."""

_NO_CACHE = "no-store"
"""For presigned URLs: those signed by a role expire with its credentials, which may be soon. And for
what changes with the next publication.
"""


@require_safe
@json_view
def media(request: HttpRequest, key: str) -> HttpResponseBase:
    """Respond with the object or the requested range (200, 206, 404 or 416), or redirect to a bucket (302).

    The playlists of a video that is still being made are rendered (200, 404 or 410).
    """
    _require_allowed(request, key)
    if place := growing_place(key):
        return growing_playlist(request, key, place, content_type=_content_type(key))
    bucket = published_bucket()
    return (
        _from_folder(request, key, content_type=_content_type(key), cache=_CACHE)
        if bucket is None
        else _from_bucket(request, key, bucket)
    )


@require_safe
@json_view
def source(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Respond with the uploaded file (200, 206 or 416), or redirect to it in the bucket (302).

    404 if it does not play directly. Always `video/mp4`: nobody chooses the type of what this site
    serves by the name of an upload.
    """
    video = video_for(request, video_id)
    if not plays_directly(video):
        raise Http404
    bucket, key = sources_bucket(), str(video.source)
    if bucket is None:
        return _from_folder(request, key, content_type=_SOURCE_TYPE, cache=_NO_CACHE)
    response = HttpResponseRedirect(bucket.presigned_url(key, content_type=_SOURCE_TYPE))
    response["Cache-Control"] = _NO_CACHE
    return response


@require_safe
@html_view
def download(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Respond with the uploaded file as an attachment (200, 206 or 416), or redirect to it in the bucket (302).

    For people who may change the video. 404 while its first upload is not complete.
    """
    video = video_for(request, video_id, "change")
    if not video.source or not video.source_complete:
        raise Http404
    bucket, key = sources_bucket(), str(video.source)
    if bucket is None:
        response = _from_folder(request, key, content_type=_BYTES, cache=_NO_CACHE)
        # No browser shows it as a page of this site, whatever is in it.
        response["Content-Disposition"] = content_disposition_header(
            as_attachment=True, filename=posixpath.basename(key)
        )
        return response
    url = bucket.presigned_url(key, content_type=_BYTES, download_as=posixpath.basename(key))
    return HttpResponseRedirect(url, headers={"Cache-Control": _NO_CACHE})


@require_safe
@json_view
def chapters(request: HttpRequest, video_id: uuid.UUID) -> HttpResponse:
    """Respond with the chapters of the published video as WebVTT (200); 404 if it has none.

    Browsers load a text track from another origin only if the player loads everything else, the
    poster too, with CORS. So the page's track comes from here, wherever the objects are.
    """
    video = video_for(request, video_id)
    listed = [chapter_of(each) for each in shown_chapters(video)]
    if not listed:
        raise Http404
    return HttpResponse(chapters_webvtt(listed), content_type="text/vtt", headers={"Cache-Control": _NO_CACHE})


def _require_allowed(request: HttpRequest, key: str) -> None:
    """Raise Http404 unless the key is the canonical key of a published object of a video that may be watched."""
    if not key.startswith(PUBLISHED_PREFIX) or posixpath.normpath(key) != key or "\0" in key or "\\" in key:
        raise Http404
    try:
        video_id = uuid.UUID(key.removeprefix(PUBLISHED_PREFIX).partition("/")[0])
    except ValueError:
        raise Http404 from None
    video_for(request, video_id)


def _from_bucket(request: HttpRequest, key: str, bucket: Bucket) -> HttpResponseBase:
    if contains_names(key):
        return _signed_text(request, key, bucket)
    response = HttpResponseRedirect(bucket.presigned_url(key, content_type=_content_type(key)))
    response["Cache-Control"] = _NO_CACHE
    return response


def _signed_text(request: HttpRequest, key: str, bucket: Bucket) -> HttpResponse:
    try:
        packed = signed_gzip(bucket, key)
    except FileNotFoundError:
        raise Http404 from None
    if accepts_gzip(request):
        response = HttpResponse(packed, content_type=_content_type(key), headers={"Content-Encoding": "gzip"})
    else:
        response = HttpResponse(gzip.decompress(packed), content_type=_content_type(key))
    patch_vary_headers(response, ["Accept-Encoding"])
    response["Cache-Control"] = _NO_CACHE
    return response


def _content_type(key: str) -> str:
    return _CONTENT_TYPES.get(posixpath.splitext(key)[1], _BYTES)


def _from_folder(request: HttpRequest, key: str, *, content_type: str, cache: str) -> HttpResponseBase:
    file = _open(key)
    size_bytes = Path(file.name).stat().st_size
    # Ranges are defined for GET only (RFC 9110, 14.2).
    header = request.headers.get("Range", "") if request.method == "GET" else ""
    try:
        part = parse_range(header, size_bytes=size_bytes)
    except UnsatisfiableError:
        file.close()
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"})
    response = _body(file, part) if request.method == "GET" else _no_body(file)
    if part is None:
        response["Content-Length"] = str(size_bytes)
    else:
        response["Content-Length"] = str(part.length_bytes)
        response["Content-Range"] = f"bytes {part.first}-{part.last}/{size_bytes}"
    response["Content-Type"] = content_type
    response["X-Content-Type-Options"] = "nosniff"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = cache
    return response


def _body(file: IO[bytes], part: ByteRange | None) -> HttpResponseBase:
    response = FileResponse(file) if part is None else FileResponse(PartOfFile(file, part), status=206)
    response.block_size = _BLOCK_BYTES
    return response


def _no_body(file: IO[bytes]) -> HttpResponseBase:
    """Respond to HEAD: not every WSGI server drops the body."""
    file.close()
    return HttpResponse()


def _open(key: str) -> IO[bytes]:
    """Open the file of a published object. Raises Http404 if there is none."""
    try:
        return Path(storage_of(key).path(key)).open("rb")
    except (NotImplementedError, SuspiciousFileOperation, OSError):
        # The storage is not a file system, or there is no such file.
        raise Http404 from None
