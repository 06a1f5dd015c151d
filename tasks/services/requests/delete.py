"""Deleting a video.

Its jobs end immediately. The purge tick removes the objects and then the rows, once no container can
write any more.
"""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models.functions import Now

from ...lifecycle.reasons import Reason
from ...models import Job, Video
from ..outbox.announce import announce_deletion
from ..state.locking import lock_job
from ..state.transition import append_event
from .cancel import cancel_locked


@transaction.atomic
def delete_video(*, video_id: uuid.UUID) -> None:
    """Mark the video as deleted and cancel its jobs. Idempotent."""
    marked = Video.objects.filter(pk=video_id, deleted_at=None).update(deleted_at=Now(), published_job=None)
    if marked:
        append_event("video.delete", video_id=video_id)
    # From here on no request can insert a job: the video's row is marked, and locked until the commit.
    for job_id in Job.objects.filter(video_id=video_id).values_list("pk", flat=True):
        cancel_locked(lock_job(job_id), reason=Reason.VIDEO_DELETED)
    if marked:
        announce_deletion(video_id)
