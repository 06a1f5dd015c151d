"""Changing what people enter of a video, and deleting it, if it still is as the person saw it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.db import transaction
from django.utils.translation import gettext

from ...lifecycle.errors import NotFoundError
from ...models import Video, Visibility
from ..state.locking import lock_video
from ..state.transition import append_event
from .delete import delete_video
from .share import set_visibility

Check = Callable[[Video], None]
"""Raises an error of the caller's if the locked video is not what it expects. It must not call the network."""


@transaction.atomic
def edit_video(
    *,
    video_id: uuid.UUID,
    title: str | None = None,
    description: str | None = None,
    visibility: Visibility | None = None,
    mail_wanted: bool | None = None,
    check: Check = lambda _: None,
) -> None:
    """Change what is not None. Nothing that `check` has seen can change in between.

    Raises NotFoundError, and what `check` raises.
    """
    video = _checked(video_id, check)
    if title is not None and title != video.title:
        Video.objects.filter(pk=video_id).update(title=title)
        append_event("video.title", video_id=video_id)
    if description is not None and description != video.description:
        Video.objects.filter(pk=video_id).update(description=description)
        append_event("video.description", video_id=video_id)
    if mail_wanted is not None:
        Video.objects.filter(pk=video_id).update(mail_wanted=mail_wanted)
    if visibility is not None:
        set_visibility(video_id=video_id, visibility=visibility)


@transaction.atomic
def delete_checked(*, video_id: uuid.UUID, check: Check) -> None:
    """Delete the video if `check` accepts it. Raises NotFoundError, and what `check` raises."""
    _checked(video_id, check)
    delete_video(video_id=video_id)


def _checked(video_id: uuid.UUID, check: Check) -> Video:
    video = lock_video(video_id)
    if video is None:
        message = gettext("The video was deleted or does not exist.")
        raise NotFoundError(message)
    check(video)
    return video
