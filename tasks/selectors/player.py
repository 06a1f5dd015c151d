"""What the player's template needs, on every page that has a player."""

from __future__ import annotations

from typing import Any

from ..models import Job, Video
from ..storage.cdn import signing_key
from .media_urls import poster_url
from .videos import VideoOverview


def player_context(video: Video, overview: VideoOverview) -> dict[str, Any]:
    """Return the context of `batchreel/player.html`."""
    return {
        "video": video,
        "overview": overview,
        "playlist_url": overview.playlist_url,
        "poster_url": poster_url(video.published_job),
        "needs_cookies": signing_key() is not None,
    }


def watched_job(video: Video, overview: VideoOverview) -> Job | None:
    """Return the job whose objects the player loads: the published one, or the one that is being made."""
    return video.published_job or (overview.newest_job if overview.is_growing else None)
