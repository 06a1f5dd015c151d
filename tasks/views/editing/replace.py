"""Replacing the file of a video: by a form, or in parts by a script if the storage is a bucket."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ...conf import bridge_settings
from ...lifecycle.errors import BatchreelError
from ...services.requests.quota import QuotaError, check_upload
from ...services.requests.replace import begin_replacement, replace_source
from ...storage.aliases import sources_bucket
from ..access import QUOTA_STATUS, html_view, json_error, post_only, quota_owner, signed_in_view, video_for, wants_json
from ..body_limit import accepts_large_bodies
from ..direct_upload import abort as abort_upload
from ..direct_upload import asked_upload, begun_as_json, bucket_of_uploads
from ..upload import short_name
from .forms import ReplaceForm
from .page import edit_page


def _check_size(request: HttpRequest, size_bytes: int) -> None:
    """Raise QuotaError if a body of this size has a file that is above the user's quotas."""
    check_upload(request.user, size_bytes=size_bytes - bridge_settings().body_limit_bytes, direct=False)


@accepts_large_bodies(if_true=lambda: sources_bucket() is None, check=_check_size)
@post_only("batchreel:edit")
def replace(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Replace the file by the one in this form: of any size if the storage is a folder, otherwise a small one.

    The response to a script (Accept: application/json) is JSON with the video's URL or the errors.
    """
    return _replace_json(request, video_id) if wants_json(request) else _replace_page(request, video_id)


@signed_in_view
def _replace_json(request: HttpRequest, video_id: uuid.UUID) -> JsonResponse:
    video_for(request, video_id, "change")
    form = ReplaceForm(request.POST, request.FILES)
    if not form.is_valid():
        return json_error(400, "INVALID", *(str(error) for errors in form.errors.values() for error in errors))
    _store(request, video_id, form)
    return JsonResponse({"url": reverse("batchreel:video", args=[video_id])}, status=201)


@html_view
def _replace_page(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    video = video_for(request, video_id, "change")
    form = ReplaceForm(request.POST, request.FILES, auto_id="replace-%s")
    if not form.is_valid():
        return edit_page(request, video, replace=form, status=400)
    try:
        _store(request, video_id, form)
    except BatchreelError as error:
        form.add_error("source", f"{error} ({error.code})")
        return edit_page(request, video, replace=form, status=QUOTA_STATUS if isinstance(error, QuotaError) else 409)
    messages.success(
        request, gettext("The file was replaced. What was published plays until the new version is ready.")
    )
    return redirect("batchreel:video", video.pk)


def _store(request: HttpRequest, video_id: uuid.UUID, form: ReplaceForm) -> None:
    file = form.cleaned_data["source"]
    replace_source(
        video_id=video_id,
        owner=quota_owner(request, video_for(request, video_id, "change")),
        name=short_name(file.name or "video"),
        file=file,
        version=uuid.uuid4(),
    )


@require_POST
@signed_in_view
def begin(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Begin to replace the file in parts: {id, name, size_bytes, type}.

    Responds as to the upload of a new video: 201 and the upload's URL, part size and missing parts, or 400 and
    the errors; 409 while another upload for the video is open. The id is optional and makes it idempotent.
    """
    bucket = bucket_of_uploads()
    video = video_for(request, video_id, "change")
    asked = asked_upload(request)
    if isinstance(asked, JsonResponse):
        return asked
    upload = begin_replacement(
        bucket=bucket,
        video_id=video_id,
        owner=quota_owner(request, video),
        name=short_name(asked.name),
        size_bytes=asked.size_bytes,
        content_type=asked.content_type,
        version=asked.id or uuid.uuid4(),
    )
    return begun_as_json(upload)


@post_only("batchreel:edit")
@html_view
def abort(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Abort the open upload of another file, of which a browser that was closed no longer has the remainder."""
    video = video_for(request, video_id, "change")
    abort_upload(request, video.pk)
    messages.success(request, gettext("The upload was aborted."))
    return redirect("batchreel:edit", video.pk)
