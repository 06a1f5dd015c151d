"""Bulk requests: many videos are transcoded again, in the background (`manage.py transcode`).

Their jobs have the priority BULK, so they never delay an upload. Asking again is harmless: a video
with an active job gets no second one, and with `older_engine` or `other_profile` a video that was
transcoded, or failed to be, in the meantime is not selected again.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from ...lifecycle.states import ACTIVE_JOB_STATES, JobPriority
from ...models import Job, Video
from ...transcode import Profile, profile_to_json
from ..state.locking import lock_video
from .request import insert_job


def select_videos(
    *, other_engine_than: str | None = None, other_profile_than: Profile | None = None, owner_id: Any = None
) -> QuerySet[Video]:
    """Return the videos to transcode, those first whose last request is the oldest.

    They have a complete source and no active job. With an engine or a profile, only those whose
    newest job is their publication and was made with another one; a newer job without success needs
    its cause fixed, not another request. A profile whose fields have changed since is another one.
    """
    of_video = Job.objects.filter(video=OuterRef("pk"))
    newest = of_video.order_by("-created_at")
    videos = Video.objects.filter(
        ~Exists(of_video.filter(state__in=ACTIVE_JOB_STATES)), deleted_at=None, source_complete=True
    ).exclude(source="")
    if other_engine_than is not None or other_profile_than is not None:
        videos = videos.filter(published_job=Subquery(newest.values("pk")[:1]))
    if other_engine_than is not None:
        videos = videos.exclude(published_job__engine=other_engine_than)
    if other_profile_than is not None:
        videos = videos.exclude(
            published_job__profile=other_profile_than.name,
            published_job__profile_fields=profile_to_json(other_profile_than),
        )
    if owner_id is not None:
        videos = videos.filter(owner_id=owner_id)
    requested_at = Coalesce(Subquery(newest.values("created_at")[:1]), "created_at")
    return videos.order_by(requested_at, "pk")


@transaction.atomic
def request_in_bulk(*, video_id: uuid.UUID, profile: str) -> bool:
    """Request a bulk job for the video. Return False if it has an active job, or was deleted. Raises ConflictError."""
    video = lock_video(video_id)
    if video is None:
        return False
    return insert_job(video, automatic=False, priority=JobPriority.BULK, profile=profile).created
