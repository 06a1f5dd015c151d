"""Cards of the list, on its page and alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ...models import Video
from ...selectors.lists import name_of, sees_others
from ...selectors.media_urls import poster_url
from ...selectors.videos import VideoOverview, clock, overviews, shown_videos
from ..access import json_view, may, signed_out
from ..progress import MAX_VIDEOS, requested_videos


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the list shows of one video."""

    video: Video
    overview: VideoOverview
    poster_url: str
    duration: str
    """Length of what is published, as 1:02:03 or 2:03; empty before."""
    owner: Any
    """The owner, for people who see the videos of others."""
    owner_name: str


def cards_of(videos: Sequence[Video], *, with_owners: bool) -> list[Card]:
    """Return the cards of these videos, in their order, in four queries."""
    overview_by_id = overviews(videos)
    return [_card(video, overview_by_id[video.pk], with_owners=with_owners) for video in videos]


def _card(video: Video, overview: VideoOverview, *, with_owners: bool) -> Card:
    job, owner = video.published_job, video.owner if with_owners else None
    return Card(
        video=video,
        overview=overview,
        poster_url=poster_url(job),
        duration=clock(job.duration_s) if job and job.duration_s else "",
        owner=owner,
        owner_name=name_of(owner) if owner else "",
    )


@require_safe
@json_view
def cards(request: HttpRequest) -> HttpResponseBase:
    """Respond with the card of each video in `?video=`, up to fifty, as HTML; 403 if nobody is signed in.

    Videos that are deleted or may not be viewed are left out.
    """
    if not request.user.is_active:
        return signed_out()
    with_owners = sees_others(request.user)
    found = shown_videos().filter(pk__in=requested_videos(request).values())
    if with_owners:
        found = found.select_related("owner")
    videos = [video for video in found[:MAX_VIDEOS] if may(request, "view", video)]
    response = render(request, "batchreel/cards.html", {"cards": cards_of(videos, with_owners=with_owners)})
    response["Cache-Control"] = "no-store"
    return response
