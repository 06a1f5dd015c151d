"""HTML pages: the list with the upload form, one video, retry and delete."""

from __future__ import annotations

import uuid
from contextlib import suppress

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from ..conf import bridge_settings
from ..lifecycle.errors import BatchreelError, NotFoundError
from ..models import Visibility
from ..selectors.access import may_upload
from ..selectors.costs import costs_of, describe
from ..selectors.media_urls import poster_url
from ..selectors.player import player_context, watched_job
from ..selectors.timeline import video_timeline
from ..selectors.videos import needs_list, overviews, video_overview, videos_for, warning_messages
from ..services.requests.delete import delete_video
from ..services.requests.quota import QuotaError, check_upload
from ..services.requests.request import RetryNotOfferedError, retry_video
from ..storage.aliases import sources_bucket
from .access import (
    QUOTA_STATUS,
    NoUploadError,
    html_view,
    json_error,
    may,
    page,
    quota_owner,
    require_upload,
    sees_costs,
    signed_in_view,
    video_for,
    wants_json,
    watch_view,
)
from .body_limit import accepts_large_bodies
from .cookies import open_cdn
from .embed import open_graph
from .shares import sharing_context
from .upload import UploadForm

PAGE_VIDEOS = 24
"""Videos per page of the list: twelve rows of two, or eight of three."""


@require_safe
@html_view
def video_list(request: HttpRequest) -> HttpResponse:
    """Show the user's videos, newest first, and the upload form to those who may upload."""
    return _list_page(request, UploadForm())


def _check_form_upload(request: HttpRequest, size_bytes: int) -> None:
    """Raise NoUploadError, or QuotaError if a body of this size has a file that is above the user's quotas.

    The form's other fields have up to `body_limit_bytes`; the file's own size is checked when it has arrived.
    """
    require_upload(request)
    check_upload(request.user, size_bytes=size_bytes - bridge_settings().body_limit_bytes, direct=False)


@accepts_large_bodies(if_true=lambda: sources_bucket() is None, check=_check_form_upload)
@require_POST
def upload(request: HttpRequest) -> HttpResponseBase:
    """Accept an upload: of any size if the storage is a folder, otherwise of a small file.

    The response to a script (Accept: application/json) is JSON with the video's URL or the errors; the
    response to a form is a page.
    """
    return _upload_json(request) if wants_json(request) else _upload_page(request)


@signed_in_view
def _upload_json(request: HttpRequest) -> JsonResponse:
    require_upload(request)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return json_error(400, "INVALID", *(str(error) for errors in form.errors.values() for error in errors))
    video = form.save(owner=request.user)
    return JsonResponse({"url": reverse("batchreel:video", args=[video.pk])}, status=201)


@html_view
def _upload_page(request: HttpRequest) -> HttpResponse:
    try:
        require_upload(request)
    except NoUploadError as error:
        messages.error(request, str(error))
        return _list_page(request, UploadForm(), status=403)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _list_page(request, form, status=400)
    try:
        video = form.save(owner=request.user)
    except QuotaError as error:
        form.add_error("source", f"{error} ({error.code})")
        return _list_page(request, form, status=QUOTA_STATUS)
    return redirect("batchreel:video", video.pk)


def _list_page(request: HttpRequest, form: UploadForm, *, status: int = 200) -> HttpResponse:
    shown = Paginator(videos_for(request.user), PAGE_VIDEOS).get_page(request.GET.get("page"))
    videos = list(shown.object_list)
    overview_by_id = overviews(videos)
    cards = [
        {
            "video": video,
            "overview": overview_by_id[video.pk],
            "poster_url": poster_url(video.published_job),
        }
        for video in videos
    ]
    context = {"form": form, "page": shown, "cards": cards, "uploads_in_parts": sources_bucket() is not None}
    context["may_upload"] = may_upload(request.user)
    return page(request, "batchreel/list.html", context, status=status)


@require_safe
@watch_view
def video_page(request: HttpRequest, video_id: uuid.UUID) -> HttpResponse:
    """Show one video with its player.

    People who may view it also see status, warnings and history; those who may change it, who may watch it.
    """
    video = video_for(request, video_id)
    overview = video_overview(video)
    context = player_context(video, overview)
    if may(request, "view", video):
        context |= {
            "warnings": warning_messages(video),
            "timeline": video_timeline(video.pk),
        }
    else:
        context["status_message"] = overview.watcher_message
    if may(request, "change", video):
        context |= sharing_context(request, video)
    context["needs_list"] = request.user.is_active and needs_list(request.user)
    context["may_delete"] = may(request, "delete", video)
    if sees_costs(request.user, video):
        context["cost"] = describe(costs_of("job__video", [video.pk]).get(video.pk))
    if video.visibility == Visibility.LINK:
        context["open_graph"] = open_graph(request, video)
    response = page(request, "batchreel/video.html", context)
    open_cdn(request, response, watched_job(video, overview))
    return response


@require_POST
@html_view
def retry(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseRedirect:
    """Retry the video if a retry is offered.

    A DEAD job continues where it stopped; otherwise a new job starts from the beginning.
    """
    video = video_for(request, video_id, "change")
    try:
        retry_video(video_id=video.pk, owner=quota_owner(request, video))
    except RetryNotOfferedError as error:
        messages.info(request, str(error))
    except QuotaError as error:
        messages.error(request, f"{error} ({error.code})")
    except BatchreelError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, gettext("The video will be processed again."))
    return redirect("batchreel:video", video.pk)


@require_POST
@html_view
def delete(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseRedirect:
    """Delete the video: its jobs end now, its files are removed soon after."""
    video = video_for(request, video_id, "delete")
    with suppress(NotFoundError):  # deleted concurrently, and its rows are already gone
        delete_video(video_id=video.pk)
    messages.success(request, gettext("“{video}” was deleted.").format(video=video))
    return redirect("batchreel:list")


@require_safe
@html_view
def confirm_delete(request: HttpRequest, video_id: uuid.UUID) -> HttpResponse:
    """Ask for confirmation before deleting."""
    video = video_for(request, video_id, "delete")
    return page(request, "batchreel/delete.html", {"video": video})
