"""Deleting a video: its jobs end now; the reap tick purges objects, then rows, once no container can write any more."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models.functions import Now

from tasks.lifecycle.reasons import Reason
from tasks.models import Job, Video
from tasks.services.cancel import cancel_locked
from tasks.services.locking import lock_job
from tasks.services.transition import record


@transaction.atomic
def delete_video(*, video_id: uuid.UUID) -> None:
    """Mark the video as deleted and cancel its jobs. Doing it again changes nothing."""
    if Video.objects.filter(pk=video_id, deleted_at=None).update(deleted_at=Now(), published_job=None):
        record("video.delete", video_id=video_id)
    # From here on no request can insert a job: the video's row is marked, and locked until that can be seen.
    for job_id in Job.objects.filter(video_id=video_id).values_list("pk", flat=True):
        cancel_locked(lock_job(job_id), reason=Reason.VIDEO_DELETED)
