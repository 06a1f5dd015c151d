"""Uploading past this site: a script asks for addresses, PUTs the parts of a file to the bucket, and says when all are there."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from ..lifecycle.errors import NotFoundError
from ..models import DirectUpload
from ..selectors.videos import videos_for
from ..services.requests.delete import delete_video
from ..services.requests.direct_upload import (
    PartsMissingError,
    UploadLostError,
    begin_direct_upload,
    complete_direct_upload,
    missing_parts,
)
from ..storage.bucket import Bucket, BucketError, NoSuchUploadError, default_bucket
from .access import json_view
from .upload import short_name, size_problem

logger = logging.getLogger(__name__)

MOST_URLS = 50
"""Addresses in one answer: a script asks for more when it needs them."""

_UNAVAILABLE = "The storage does not answer at the moment. What was uploaded is kept; try again."


@require_POST
@json_view
def begin(request: HttpRequest) -> HttpResponseBase:
    """Begin an upload: {id, title, name, size_bytes, type}. 201 with its address and the number and size of parts; 400 with what is wrong.

    The id is the video's. It may be left out; with it, saying the same again begins nothing again.
    """
    bucket = _bucket()
    asked = _json_body(request)
    title, name, size_bytes = asked.get("title", ""), asked.get("name", ""), asked.get("size_bytes")
    content_type = asked.get("type") or "application/octet-stream"
    if not all(isinstance(each, str) for each in (title, name, content_type)) or type(size_bytes) is not int:
        return _bad_request("The request needs a title, a name, a type, and size_bytes.")
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
    except BucketError as error:
        return _unavailable(error)
    return JsonResponse(_as_json(upload, list(range(1, upload.parts + 1))), status=201)


def _problem(title: str, name: str, content_type: str, size_bytes: int) -> str:
    if not name:
        return "Choose a video file."
    if len(title) > 200 or len(content_type) > 100 or not content_type.isascii():  # noqa: PLR2004 - the title's column; no type is longer
        return "The title has at most 200 characters."
    return size_problem(size_bytes)


@require_http_methods(["GET", "DELETE"])
@json_view
def upload(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """GET: what is left to upload, also after the browser was closed. DELETE: give the upload up."""
    row = _row(request, video_id)
    if request.method == "DELETE":
        delete_video(video_id=row.video_id)
        return HttpResponse(status=204)
    try:
        return JsonResponse(_as_json(row, missing_parts(row, bucket=_bucket())))
    except NoSuchUploadError:
        # Complete in the bucket; what is left is to say so.
        return JsonResponse(_as_json(row, []))
    except BucketError as error:
        return _unavailable(error)


@require_POST
@json_view
def part_urls(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Addresses for parts: {numbers: [1, 2, 3]}, up to fifty. 200 with {urls: {"1": ...}}."""
    row = _row(request, video_id)
    numbers = _json_body(request).get("numbers")
    good = isinstance(numbers, list) and 1 <= len(numbers) <= MOST_URLS
    if not good or not all(type(number) is int and 1 <= number <= row.parts for number in numbers or []):
        return _bad_request(f"numbers must be up to {MOST_URLS} whole numbers from 1 to {row.parts}.")
    bucket, key = _bucket(), str(row.video.source)
    return JsonResponse(
        {"urls": {str(number): bucket.part_url(key, row.upload_id, number) for number in numbers or []}}
    )


@require_POST
@json_view
def complete(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """All parts are there. 200 with the video's page; 409 with the parts that are not there after all; 410 where all has to begin anew."""
    video = get_object_or_404(videos_for(request.user), pk=video_id)
    try:
        complete_direct_upload(bucket=_bucket(), video_id=video.pk)
    except PartsMissingError as error:
        return JsonResponse({"errors": [str(error)], "missing": error.numbers}, status=409)
    except (UploadLostError, NotFoundError) as error:
        return JsonResponse({"errors": [str(error)]}, status=410)
    except BucketError as error:
        return _unavailable(error)
    return JsonResponse({"url": reverse("batchreel:video", args=[video.pk])})


def _row(request: HttpRequest, video_id: uuid.UUID) -> DirectUpload:
    """The upload, of a video that this person may change. Raises Http404 otherwise."""
    allowed = videos_for(request.user).filter(pk=video_id)
    return get_object_or_404(DirectUpload.objects.select_related("video"), video__in=allowed)


def _bucket() -> Bucket:
    bucket = default_bucket()
    if bucket is None:
        # The storage is a folder: files come through this site.
        raise Http404
    return bucket


def _json_body(request: HttpRequest) -> dict[str, Any]:
    try:
        asked = json.loads(request.body)
    except ValueError:
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
    return JsonResponse({"errors": [message]}, status=400)


def _unavailable(error: BucketError) -> JsonResponse:
    logger.warning("STORAGE_UNAVAILABLE %s", error)
    return JsonResponse({"errors": [_UNAVAILABLE]}, status=503)
