"""HTML pages of one video: the video with its player, retry and delete."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from ..lifecycle.errors import BatchreelError, NotFoundError
from ..models import Video, Visibility
from ..selectors.access import permitted
from ..selectors.costs import costs_of, describe
from ..selectors.history.story import story
from ..selectors.history.timeline import video_timeline
from ..selectors.player import player_context, watched_job
from ..selectors.videos import needs_list, video_overview, warning_messages
from ..services.requests.delete import delete_video
from ..services.requests.quota import QuotaError
from ..services.requests.request import RetryNotOfferedError, retry_video
from .access import (
    CONTENT_ALONE,
    html_view,
    json_view,
    may,
    page,
    post_only,
    quota_owner,
    sees_costs,
    signed_out,
    video_for,
    watch_view,
)
from .cookies import open_cdn
from .embed import open_graph
from .shares import sharing_context


@require_safe
@watch_view
def video_page(request: HttpRequest, video_id: uuid.UUID) -> HttpResponse:
    """Show one video with its player.

    People who may view it also see status, warnings and history; those who may change it, who may watch it.
    """
    return _show(request, video_for(request, video_id))


@require_safe
@json_view
def video_blocks(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Respond with the content of the page alone: its script exchanges the blocks that have changed.

    403 if nobody is signed in and not everyone may watch the video.
    """
    try:
        video = video_for(request, video_id)
    except Http404:
        if request.user.is_authenticated:
            raise
        return signed_out()
    response = _show(request, video, base_template=CONTENT_ALONE)
    response["Cache-Control"] = "no-store"
    return response


def _show(request: HttpRequest, video: Video, **more: Any) -> HttpResponse:
    overview = video_overview(video)
    context = player_context(video, overview, request.user)
    if may(request, "view", video):
        context |= {
            "warnings": warning_messages(video),
            "story": story(video),
        }
        # With attempts, units and AWS's own words: for operators.
        if permitted(request.user, "view", video):
            context["timeline"] = video_timeline(video.pk)
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
    response = page(request, "batchreel/video.html", context | more)
    open_cdn(request, response, watched_job(video, overview))
    return response


@post_only("batchreel:video")
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


@post_only("batchreel:video")
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
