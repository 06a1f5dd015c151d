"""Direct uploads that bypass this site.

A script requests presigned URLs, PUTs the parts of the file to the bucket, and then completes the upload.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from ..lifecycle.errors import NotFoundError
from ..models import DirectUpload
from ..selectors.access import Action
from ..services.requests.direct_upload import (
    abort_direct_upload,
    begin_direct_upload,
    complete_direct_upload,
    missing_parts,
)
from ..storage.aliases import sources_bucket
from ..storage.bucket import Bucket, NoSuchUploadError
from .access import json_error, require_upload, signed_in_view, video_for
from .upload import short_name, size_problem

MAX_URLS = 50
"""Maximum number of URLs per response. A script requests more when it needs them."""

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot store in a text: NUL, and halves of surrogate pairs, which JSON can contain."""


@require_POST
@signed_in_view
def begin(request: HttpRequest) -> HttpResponseBase:
    """Begin an upload: {id, title, name, size_bytes, type}.

    Responds with 201 and the upload's URL, part size and missing parts, or 400 and the errors. The id is
    the video's; it is optional and makes the request idempotent.
    """
    bucket = bucket_of_uploads()
    require_upload(request)
    asked = asked_upload(request)
    if isinstance(asked, JsonResponse):
        return asked
    upload = begin_direct_upload(
        bucket=bucket,
        owner=request.user,
        title=asked.title,
        name=short_name(asked.name),
        size_bytes=asked.size_bytes,
        content_type=asked.content_type,
        video_id=asked.id,
    )
    return JsonResponse(_as_json(upload, list(range(1, upload.parts + 1))), status=201)


class AskedUpload(NamedTuple):
    """The file that a script is going to upload in parts."""

    id: uuid.UUID | None
    title: str
    name: str
    size_bytes: int
    content_type: str


def asked_upload(request: HttpRequest) -> AskedUpload | JsonResponse:
    """Return what the request announces, or the response with what is wrong in it."""
    asked = _json_body(request)
    title, name, size_bytes = asked.get("title", ""), asked.get("name", ""), asked.get("size_bytes")
    content_type = asked.get("type") or "application/octet-stream"
    if not all(isinstance(each, str) for each in (title, name, content_type)) or type(size_bytes) is not int:
        return _bad_request(gettext("The request needs a title, a name, a type and size_bytes."))
    try:
        asked_id = uuid.UUID(asked["id"]) if "id" in asked else None
    except (AttributeError, TypeError, ValueError):
        return _bad_request(gettext("The id must be a UUID."))
    if problem := _problem(title, name, content_type, size_bytes):
        return _bad_request(problem)
    return AskedUpload(asked_id, title, name, size_bytes, content_type)


def begun_as_json(row: DirectUpload) -> JsonResponse:
    """Return the response with an upload that was begun, perhaps by an earlier request whose response was lost."""
    return JsonResponse(_as_json(row, numbers_left(row)), status=201)


def _problem(title: str, name: str, content_type: str, size_bytes: int) -> str:
    if not name:
        return gettext("Choose a video file.")
    if _NOT_STORABLE.search(title + name):
        return gettext("The title and the name must not contain NUL or incomplete characters.")
    if len(title) > 200:  # noqa: PLR2004 - the column's length
        return gettext("The title can have at most 200 characters.")
    if len(content_type) > 100 or not (content_type.isascii() and content_type.isprintable()):  # noqa: PLR2004 - no registered type is longer
        return gettext("The type must be a media type such as video/mp4.")
    return size_problem(size_bytes)


@require_http_methods(["GET", "DELETE"])
@signed_in_view
def upload(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """GET: return what is left to upload, even after the browser was closed. DELETE: abort the upload."""
    if request.method == "DELETE":
        abort(request, video_id)
        return HttpResponse(status=204)
    row = open_upload(request, video_id, "view")
    return JsonResponse(_as_json(row, numbers_left(row)))


def abort(request: HttpRequest, video_id: uuid.UUID) -> None:
    """Give the upload up, which deletes a new video. Raises Http404 for people who may not do that."""
    row = get_object_or_404(DirectUpload.objects.select_related("video"), video=video_id)
    video_for(request, row.video_id, "change" if row.video.source_complete else "delete")
    abort_direct_upload(row, bucket=bucket_of_uploads())


def numbers_left(row: DirectUpload) -> list[int]:
    """Return the numbers of the parts that have not arrived. Raises BucketError."""
    try:
        return missing_parts(row, bucket=bucket_of_uploads())
    except NoSuchUploadError:
        return []  # already complete in the bucket; only the call of `complete` is left


def urls_of_parts(row: DirectUpload, numbers: list[int]) -> dict[str, str]:
    """Return the presigned URL of each of these parts, by its number as text."""
    bucket = bucket_of_uploads()
    return {
        str(number): bucket.presigned_part_url(row.source_name, row.upload_id, number, size_bytes=row.bytes_of(number))
        for number in numbers
    }


@require_POST
@signed_in_view
def part_urls(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Return presigned URLs for up to fifty parts: {numbers: [1, 2, 3]}. Responds with 200 and {urls: {"1": ...}}."""
    row = open_upload(request, video_id)
    numbers = _json_body(request).get("numbers")
    good = isinstance(numbers, list) and 1 <= len(numbers) <= MAX_URLS
    if not good or not all(type(number) is int and 1 <= number <= row.parts for number in numbers or []):
        return _bad_request(
            gettext("numbers must be up to {limit} whole numbers from 1 to {parts}.").format(
                limit=MAX_URLS, parts=row.parts
            )
        )
    return JsonResponse({"urls": urls_of_parts(row, numbers or [])})


@require_POST
@signed_in_view
def complete(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Complete the upload once all parts have been sent.

    Responds with 200 and the URL of the video's page, 409 and the numbers of missing parts, or 410 if the
    upload has to start again from the beginning.
    """
    video = video_for(request, video_id, "change")
    try:
        complete_direct_upload(bucket=bucket_of_uploads(), video_id=video.pk)
    except NotFoundError as error:
        return json_error(410, error.code, str(error))
    return JsonResponse({"url": reverse("batchreel:video", args=[video.pk])})


def open_upload(request: HttpRequest, video_id: uuid.UUID, action: Action = "change") -> DirectUpload:
    """Return the upload of a video with which this user may do this. Raises Http404 otherwise."""
    video = video_for(request, video_id, action)
    return get_object_or_404(DirectUpload.objects.select_related("video"), video=video)


def bucket_of_uploads() -> Bucket:
    """Return the bucket of uploads. Raises Http404 if they have another storage."""
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
