"""Direct uploads that bypass this site.

A script requests presigned URLs, PUTs the parts of the file to the bucket, and then completes the upload.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from ..lifecycle.errors import NotFoundError
from ..models import DirectUpload
from ..selectors.access import Action
from ..services.requests.delete import delete_video
from ..services.requests.direct_upload import (
    IdTakenError,
    PartsMissingError,
    UploadLostError,
    begin_direct_upload,
    complete_direct_upload,
    missing_parts,
)
from ..services.requests.quota import QuotaError
from ..storage.aliases import sources_bucket
from ..storage.bucket import Bucket, BucketError, NoSuchUploadError
from .access import QUOTA_STATUS, json_error, require_upload, signed_in_view, video_for
from .upload import short_name, size_problem

logger = logging.getLogger(__name__)

MAX_URLS = 50
"""Maximum number of URLs per response. A script requests more when it needs them."""

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot store in a text: NUL, and halves of surrogate pairs, which JSON can contain."""

_UNAVAILABLE = "The storage is temporarily unavailable. The parts uploaded so far are kept. Try again in a few seconds."


@require_POST
@signed_in_view
def begin(request: HttpRequest) -> HttpResponseBase:
    """Begin an upload: {id, title, name, size_bytes, type}.

    Responds with 201 and the upload's URL, part size and missing parts, or 400 and the errors. The id is
    the video's; it is optional and makes the request idempotent.
    """
    bucket = _bucket()
    require_upload(request)
    asked = _json_body(request)
    title, name, size_bytes = asked.get("title", ""), asked.get("name", ""), asked.get("size_bytes")
    content_type = asked.get("type") or "application/octet-stream"
    if not all(isinstance(each, str) for each in (title, name, content_type)) or type(size_bytes) is not int:
        return _bad_request("The request needs a title, a name, a type and size_bytes.")
    try:
        video_id = uuid.UUID(asked["id"]) if "id" in asked else None
    except (AttributeError, TypeError, ValueError):
        return _bad_request("The id must be a UUID.")
    if problem := _problem(title, name, content_type, size_bytes):
        return _bad_request(problem)
    try:
        upload = begin_direct_upload(
            bucket=bucket,
            owner=request.user,
            title=title,
            name=short_name(name),
            size_bytes=size_bytes,
            content_type=content_type,
            video_id=video_id,
        )
    except (IdTakenError, QuotaError) as error:
        return json_error(QUOTA_STATUS if isinstance(error, QuotaError) else 409, error.code, str(error))
    except BucketError as error:
        return _unavailable(error)
    return JsonResponse(_as_json(upload, list(range(1, upload.parts + 1))), status=201)


def _problem(title: str, name: str, content_type: str, size_bytes: int) -> str:
    if not name:
        return "Choose a video file."
    if _NOT_STORABLE.search(title + name):
        return "The title and the name must not contain NUL or incomplete characters."
    if len(title) > 200:  # noqa: PLR2004 - the column's length
        return "The title can have at most 200 characters."
    if len(content_type) > 100 or not (content_type.isascii() and content_type.isprintable()):  # noqa: PLR2004 - no registered type is longer
        return "The type must be a media type such as video/mp4."
    return size_problem(size_bytes)


@require_http_methods(["GET", "DELETE"])
@signed_in_view
def upload(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """GET: return what is left to upload, even after the browser was closed. DELETE: abort the upload."""
    row = _row(request, video_id, "delete" if request.method == "DELETE" else "view")
    if request.method == "DELETE":
        delete_video(video_id=row.video_id)
        return HttpResponse(status=204)
    try:
        return JsonResponse(_as_json(row, missing_parts(row, bucket=_bucket())))
    except NoSuchUploadError:
        # Already complete in the bucket; only the call of `complete` is left.
        return JsonResponse(_as_json(row, []))
    except BucketError as error:
        return _unavailable(error)


@require_POST
@signed_in_view
def part_urls(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Return presigned URLs for up to fifty parts: {numbers: [1, 2, 3]}. Responds with 200 and {urls: {"1": ...}}."""
    row = _row(request, video_id)
    numbers = _json_body(request).get("numbers")
    good = isinstance(numbers, list) and 1 <= len(numbers) <= MAX_URLS
    if not good or not all(type(number) is int and 1 <= number <= row.parts for number in numbers or []):
        return _bad_request(f"numbers must be up to {MAX_URLS} whole numbers from 1 to {row.parts}.")
    bucket, key = _bucket(), str(row.video.source)
    urls = {
        str(number): bucket.presigned_part_url(key, row.upload_id, number, size_bytes=row.bytes_of(number))
        for number in numbers or []
    }
    return JsonResponse({"urls": urls})


@require_POST
@signed_in_view
def complete(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Complete the upload once all parts have been sent.

    Responds with 200 and the URL of the video's page, 409 and the numbers of missing parts, or 410 if the
    upload has to start again from the beginning.
    """
    video = video_for(request, video_id, "change")
    try:
        complete_direct_upload(bucket=_bucket(), video_id=video.pk)
    except PartsMissingError as error:
        return json_error(409, error.code, str(error), missing=error.numbers)
    except (UploadLostError, NotFoundError) as error:
        return json_error(410, error.code, str(error))
    except BucketError as error:
        return _unavailable(error)
    return JsonResponse({"url": reverse("batchreel:video", args=[video.pk])})


def _row(request: HttpRequest, video_id: uuid.UUID, action: Action = "change") -> DirectUpload:
    """Return the upload of a video with which this user may do this. Raises Http404 otherwise."""
    video = video_for(request, video_id, action)
    return get_object_or_404(DirectUpload.objects.select_related("video"), video=video)


def _bucket() -> Bucket:
    bucket = sources_bucket()
    if bucket is None:
        # The storage is a folder: files are uploaded through this site.
        raise Http404
    return bucket


def _json_body(request: HttpRequest) -> dict[str, Any]:
    try:
        asked = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _as_json(row: DirectUpload, missing: list[int]) -> dict[str, Any]:
    return {
        "video": str(row.video_id),
        "url": reverse("batchreel:direct-upload", args=[row.video_id]),
        "size_bytes": row.size_bytes,
        "part_bytes": row.part_bytes,
        "missing": missing,
    }


def _bad_request(message: str) -> JsonResponse:
    return json_error(400, "INVALID", message)


def _unavailable(error: BucketError) -> JsonResponse:
    logger.warning("STORAGE_UNAVAILABLE %s", error)
    return json_error(503, "STORAGE_UNAVAILABLE", _UNAVAILABLE)
