"""URLs of the API: `path("api/", include("batchreel.api.urls"))`, namespace `batchreel-api`."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest
from django.urls import URLPattern, path, re_path

from ..conf import bridge_settings
from ..selectors.access import may_upload
from ..services.requests.quota import check_upload
from ..storage.aliases import sources_bucket
from ..tracing import traced
from ..views.access import NoUploadError, View
from ..views.body_limit import accepts_large_bodies, answers_refusals
from . import editing, endpoint, jobs, sharing, uploads, videos, watching, webhooks
from .document import Document

app_name = "batchreel-api"


def _check_file(request: HttpRequest, size_bytes: int) -> None:
    """Raise QuotaError if a body of this size has a file above the sender's quotas."""
    file_bytes = size_bytes - bridge_settings().body_limit_bytes
    check_upload(endpoint.sender_of(request), size_bytes=file_bytes, direct=False)


def _check_new_file(request: HttpRequest, size_bytes: int) -> None:
    """Raise NoUploadError too, unless the sender may upload."""
    if not may_upload(endpoint.sender_of(request)):
        raise NoUploadError
    _check_file(request, size_bytes)


def _large(view: View, check: Callable[[HttpRequest, int], None]) -> View:
    """Let the view accept files of any size if the storage is a folder."""
    mark = accepts_large_bodies(if_true=lambda: sources_bucket() is None, check=check, sender=endpoint.sender_of)
    return mark(view)


operations: list[URLPattern] = [
    path("videos/", videos.Videos.as_view(), name="videos"),
    path(
        "videos/file/",
        _large(traced("batchreel.upload", videos.VideoFile.as_view()), _check_new_file),
        name="video-file",
    ),
    path("videos/<uuid:video_id>/", videos.OneVideo.as_view(), name="video"),
    path("videos/<uuid:video_id>/source/", _large(uploads.Source.as_view(), _check_file), name="source"),
    path("videos/<uuid:video_id>/upload/", uploads.OneUpload.as_view(), name="upload"),
    path("videos/<uuid:video_id>/upload/urls/", uploads.PartUrls.as_view(), name="part-urls"),
    path(
        "videos/<uuid:video_id>/upload/complete/",
        traced("batchreel.complete_upload", uploads.Completion.as_view()),
        name="complete-upload",
    ),
    path("videos/<uuid:video_id>/retry/", jobs.Retry.as_view(), name="retry"),
    path("videos/<uuid:video_id>/playback/", watching.Playback.as_view(), name="playback"),
    path("videos/<uuid:video_id>/chapters/", editing.Chapters.as_view(), name="chapters"),
    path("videos/<uuid:video_id>/captions/", watching.Captions.as_view(), name="captions"),
    path("videos/<uuid:video_id>/captions/own/", editing.OwnCaptions.as_view(), name="own-captions"),
    path("videos/<uuid:video_id>/captions/added/", editing.AddedCaptions.as_view(), name="added-captions"),
    path(
        "videos/<uuid:video_id>/captions/added/<uuid:captions_id>/",
        editing.OneAddedCaptions.as_view(),
        name="one-added-captions",
    ),
    path("videos/<uuid:video_id>/share-links/", sharing.ShareLinks.as_view(), name="share-links"),
    path("videos/<uuid:video_id>/share-links/<uuid:link_id>/", sharing.OneShareLink.as_view(), name="share-link"),
    path("jobs/", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>/", jobs.OneJob.as_view(), name="job"),
    path("jobs/<uuid:job_id>/cancel/", jobs.Cancellation.as_view(), name="cancel"),
    path("webhooks/", webhooks.Webhooks.as_view(), name="webhooks"),
    path("webhooks/<int:endpoint_id>/", webhooks.OneWebhook.as_view(), name="webhook"),
    path("webhooks/<int:endpoint_id>/secret/", webhooks.Secret.as_view(), name="webhook-secret"),
    path("webhooks/<int:endpoint_id>/deliveries/", webhooks.Deliveries.as_view(), name="deliveries"),
    path(
        "webhooks/<int:endpoint_id>/deliveries/<int:delivery_id>/send-again/",
        webhooks.SendAgain.as_view(),
        name="send-again",
    ),
]
"""All operations. The OpenAPI document is made from them."""

urlpatterns = [
    *operations,
    path("openapi.yaml", Document.as_view(patterns=operations), name="openapi"),
    re_path("", endpoint.Nowhere.as_view(), name="nowhere"),
]

for pattern in urlpatterns:
    # As for the pages: services open their own transactions, and scripts get no login page.
    transaction.non_atomic_requests(pattern.callback)
    login_not_required(answers_refusals(endpoint.refuse_body)(pattern.callback))
