"""Who may watch a video: its visibility and its share links."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext, ngettext

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError, NotFoundError
from ...models import ShareLink, Video, Visibility
from ..state.locking import lock_video
from ..state.transition import append_event


class TooManyShareLinksError(ConflictError):
    """The video has `share_links_per_video` links."""

    code = "TOO_MANY_SHARE_LINKS"


@transaction.atomic
def set_visibility(*, video_id: uuid.UUID, visibility: Visibility) -> None:
    """Change who may watch the video. Share links stay. Raises NotFoundError."""
    video = _locked(video_id)
    if video.visibility != visibility:
        Video.objects.filter(pk=video_id).update(visibility=visibility)
        append_event("video.visibility", video_id=video_id, text=f"{video.visibility} → {visibility}")


@transaction.atomic
def create_share_link(*, video_id: uuid.UUID, days: int) -> ShareLink:
    """Create a link that is valid for this number of days from now; remove the video's expired ones.

    Raises TooManyShareLinksError, NotFoundError.
    """
    _locked(video_id)
    links = ShareLink.objects.filter(video_id=video_id)
    links.filter(expires_at__lte=Now()).delete()
    limit = bridge_settings().share_links_per_video
    if links.count() >= limit:
        text = ngettext(
            "A video can have {limit} share link. Revoke it first.",
            "A video can have {limit} share links. Revoke one first.",
            limit,
        )
        message = text.format(limit=limit)
        raise TooManyShareLinksError(message)
    link = ShareLink.objects.create(video_id=video_id, expires_at=Now() + timedelta(days=days))
    link.refresh_from_db()
    append_event("share.create", video_id=video_id, text=f"valid for {days} days")
    return link


@transaction.atomic
def revoke_share_links(*, video_id: uuid.UUID, link_id: uuid.UUID | None = None) -> int:
    """Revoke one link of the video, or all: they open nothing any more. Return how many there were."""
    links = ShareLink.objects.filter(video_id=video_id)
    removed, _ = (links.filter(pk=link_id) if link_id else links).delete()
    if removed:
        append_event("share.revoke", video_id=video_id, text=f"links: {removed}" if removed > 1 else "")
    return removed


def _locked(video_id: uuid.UUID) -> Video:
    video = lock_video(video_id)
    if video is None:
        message = gettext("The video was deleted or does not exist.")
        raise NotFoundError(message)
    return video
