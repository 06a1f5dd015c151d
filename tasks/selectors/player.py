"""What a player needs: for the template on every page that has one, and for players of a site's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse

from ..conf import bridge_settings
from ..models import Job, Video, WatchPosition
from ..storage.cdn import signing_key
from ..transcode.package.playlists import DASH_NAME
from .media_urls import poster_url
from .videos import VideoOverview

if TYPE_CHECKING:
    from .access import AnyUser


def player_context(video: Video, overview: VideoOverview, user: AnyUser) -> dict[str, Any]:
    """Return the context of `batchreel/player.html` for this user."""
    return {
        "video": video,
        "overview": overview,
        "playlist_url": overview.playlist_url,
        "poster_url": poster_url(video.published_job),
        "needs_cookies": signing_key() is not None,
        "keeps_position": keeps_position(user),
        "position_s": position_s(video, user),
    }


def keeps_position(user: AnyUser) -> bool:
    """Return whether the site keeps how far this user watches."""
    return bool(user.is_active and user.is_authenticated and bridge_settings().keep_watch_positions)


def position_s(video: Video, user: AnyUser) -> float:
    """Return the seconds from the beginning at which this user left the video; 0 if the site does not keep that."""
    if not keeps_position(user):
        return 0.0
    found = WatchPosition.objects.filter(video=video, user=user.pk).values_list("position_s", flat=True).first()
    return found or 0.0


def watched_job(video: Video, overview: VideoOverview) -> Job | None:
    """Return the job whose objects the player loads: the published one, or the one that is being made."""
    return video.published_job or (overview.newest_job if overview.is_growing else None)


def playback_of(video: Video, overview: VideoOverview) -> dict[str, Any]:
    """Return what can be played, for the people who may watch: URLs, or empty texts for what there is not."""
    job = video.published_job
    return {
        "video": str(video.pk),
        "title": str(video),
        "status": overview.status,
        "message": overview.watcher_message,
        "playlist": overview.playlist_url,
        "mpd": _mpd_url(overview.playlist_url),
        "source": reverse("batchreel:source", args=[video.pk]) if overview.source_is_watchable else "",
        "poster": poster_url(job),
        "duration_s": job.duration_s if job else None,
        "playable_s": overview.playable_s,
        "chapters": overview.chapters,
        "chapters_url": reverse("batchreel:chapters", args=[video.pk]) if overview.chapters else "",
    }


def _mpd_url(playlist_url: str) -> str:
    folder, _, name = playlist_url.rpartition("/")
    return f"{folder}/{DASH_NAME}" if name else ""
