"""What players need: playback and captions of a video that may be watched."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..selectors.media_urls import media_url
from ..selectors.player import playback_of, watched_job
from ..selectors.publication import caption_urls, contents_of
from ..selectors.videos import video_overview
from ..storage.cdn import signed_until, signing_key
from ..views.cookies import open_cdn
from .endpoint import Endpoint
from .protocol.fields import shown
from .schema import described
from .shapes import CaptionsShown, PlaybackShown


class WatchEndpoint(Endpoint):
    """A view for people who may watch a video."""

    tag = "watching"

    def absolute(self, url: str) -> str | None:
        """Return the URL with the site's host if it has none, and None for an empty one."""
        return self.http_request.build_absolute_uri(url) if url else None


class Playback(WatchEndpoint):
    """What can be played of a video."""

    @described("readPlayback", responses=PlaybackShown)
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """Return the URLs of what can be played now.

        Media that the site itself serves need its session cookie, or the one of a share link. With a CDN that
        requires signed cookies, this response sets them for one publication: request it again at `expires_at`.
        """
        video = self.video(video_id, "watch")
        overview = video_overview(video)
        found, job = playback_of(video, overview), watched_job(video, overview)
        values: dict[str, Any] = {
            **{name: found[name] for name in ("video", "title", "status", "message", "duration_s", "playable_s")},
            "hls": self.absolute(found["playlist"]),
            "dash": self.absolute(found["mpd"]),
            "source": self.absolute(found["source"]),
            "poster": self.absolute(found["poster"]),
            "thumbnails": self.absolute(media_url(contents_of(video.published_job).thumbnails)),
            "chapters": self.absolute(found["chapters_url"]),
            "expires_at": datetime.fromtimestamp(signed_until(), UTC) if job and signing_key() else None,
        }
        response = Response(shown(PlaybackShown, values))
        open_cdn(self.http_request, response, job)
        return response


class Captions(WatchEndpoint):
    """The captions of a video."""

    @described("listCaptions", responses=CaptionsShown)
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """List the caption tracks of the published video, as the player's menu has them."""
        job = self.video(video_id, "watch").published_job
        tracks = [
            {**each, "url": self.absolute(each["url"]), "playlist": self.absolute(each["playlist"])}
            for each in caption_urls(contents_of(job))
        ]
        return Response(shown(CaptionsShown, {"results": tracks}))
