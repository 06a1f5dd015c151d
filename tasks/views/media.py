"""Published objects of the file system's storage, with ranges, for players. With a bucket or a CDN, browsers go there instead."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import IO

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from tasks.selectors.addresses import PUBLISHED_PREFIX
from tasks.views.access import for_staff_programs
from tasks.views.byte_range import ByteRange, PartOfFile, UnsatisfiableError, parse_range

_CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}

_BLOCK_BYTES = 256 * 1024

_CACHE = "private, max-age=31536000, immutable"
"""A key is never used for other content. Private, because only who is signed in may see it."""


@require_safe
@for_staff_programs
def media(request: HttpRequest, key: str) -> HttpResponseBase:
    """The object, or the range of it that was asked for: 200, 206, 404 or 416."""
    file = _open(key)
    size_bytes = Path(file.name).stat().st_size
    # Ranges are defined for GET alone (RFC 9110, 14.2).
    header = request.headers.get("Range", "") if request.method == "GET" else ""
    try:
        part = parse_range(header, size_bytes=size_bytes)
    except UnsatisfiableError:
        file.close()
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"})
    answer = _body(file, part) if request.method == "GET" else _no_body(file)
    if part is None:
        answer["Content-Length"] = str(size_bytes)
    else:
        answer["Content-Length"] = str(part.length_bytes)
        answer["Content-Range"] = f"bytes {part.first}-{part.last}/{size_bytes}"
    answer["Content-Type"] = _CONTENT_TYPES.get(posixpath.splitext(key)[1], "application/octet-stream")
    answer["Accept-Ranges"] = "bytes"
    answer["Cache-Control"] = _CACHE
    return answer


def _body(file: IO[bytes], part: ByteRange | None) -> HttpResponseBase:
    answer = FileResponse(file) if part is None else FileResponse(PartOfFile(file, part), status=206)
    answer.block_size = _BLOCK_BYTES
    return answer


def _no_body(file: IO[bytes]) -> HttpResponseBase:
    """For HEAD: not every WSGI server leaves out what it is given."""
    file.close()
    return HttpResponse()


def _open(key: str) -> IO[bytes]:
    """The file of a published object. Raises Http404 for any other name, however it is written."""
    if not key.startswith(PUBLISHED_PREFIX) or posixpath.normpath(key) != key or "\0" in key or "\\" in key:
        raise Http404
    try:
        return Path(default_storage.path(key)).open("rb")
    except (NotImplementedError, SuspiciousFileOperation, OSError):
        # No file system's storage, or no such file.
        raise Http404 from None
