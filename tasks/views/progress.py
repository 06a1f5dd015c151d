"""Progress of the videos shown on a page, which the page polls every few seconds."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from ..selectors.costs import Cost, costs_of
from ..selectors.videos import VideoOverview, overviews, shown_videos
from .access import json_view, may, sees_costs, signed_out

MAX_VIDEOS = 50


@require_safe
@json_view
def progress(request: HttpRequest) -> HttpResponseBase:
    """Respond with the progress of each video in `?video=`, by id: null if it is deleted or may not be watched.

    People who may only watch get a message without what failed. 403 if nobody is signed in and none may be watched.
    """
    requested = requested_videos(request)
    found = shown_videos().filter(pk__in=requested.values())
    videos = {video.pk: video for video in found if may(request, "watch", video)}
    if not videos and not request.user.is_authenticated:
        return signed_out()
    viewed = {video_id for video_id, video in videos.items() if may(request, "view", video)}
    with_costs = [video_id for video_id, video in videos.items() if sees_costs(request.user, video)]
    overview_by_id = overviews(list(videos.values()))
    costs = costs_of("job__video", with_costs) if with_costs else {}
    response = JsonResponse(
        {
            "videos": {
                text: _as_json(overview_by_id[video_id], is_viewed=video_id in viewed)
                | ({"cost": cost_as_json(costs.get(video_id) or Cost())} if video_id in with_costs else {})
                if video_id in overview_by_id
                else None
                for text, video_id in requested.items()
            }
        }
    )
    response["Cache-Control"] = "no-store"
    return response


def _as_json(overview: VideoOverview, *, is_viewed: bool) -> dict[str, Any]:
    progress = overview.progress
    return {
        "status": overview.status,
        "status_label": overview.status_label,
        "message": overview.message if is_viewed else overview.watcher_message,
        "percent": progress.percent,
        "stage": progress.stage_label,
        "units_done": progress.units_done,
        "units_total": progress.units_total,
        "containers": progress.containers,
        "attempt": progress.attempt_number,
        "remaining_s": progress.remaining_s,
        "active": overview.is_active,
        "watchable": overview.watchable,
        "playable_s": overview.playable_s,
        "playlist": overview.playlist_url,
        "chapters": overview.chapters,
    }


def cost_as_json(cost: Cost) -> dict[str, Any]:
    """Return the cost with amounts as text, because JSON's numbers are not exact."""
    return {
        "usd": str(cost.usd),
        "wasted_usd": {cause: str(usd) for cause, usd in cost.wasted.items()},
        "by_price_source_usd": {source: str(usd) for source, usd in cost.by_source.items()},
        "containers_not_included": cost.missing,
    }


def requested_videos(request: HttpRequest) -> dict[str, uuid.UUID]:
    """Return the ids in `?video=` by their text, up to MAX_VIDEOS; what is no id is left out."""
    return {text: video_id for text in request.GET.getlist("video")[:MAX_VIDEOS] if (video_id := _uuid(text))}


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
