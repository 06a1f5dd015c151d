"""Publishing a preview: the source's own streams, offered while the ladder is being encoded.

A preview never replaces anything.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from ...lifecycle.errors import FencedError
from ...lifecycle.states import JobEvent, PublicationLevel, UnitEvent, UnitState
from ...models import Video
from ..state.locking import lock_job, lock_video_of
from ..state.transition import transition
from .claim import Claim, Lease, require_running_attempt
from .finish import require_current_lease


@transaction.atomic
def publish_preview(claim: Claim, lease: Lease, *, manifest: dict[str, Any], playlist_key: str) -> None:
    """Record the preview on the job, and point the video at it unless it already shows something or was deleted.

    Repeating the call, after a lost response, is a no-op; so is a call after the job was published.
    Raises FencedError or AttemptCancelledError without having written anything.
    """
    lock_video_of(claim.job_id)
    job = lock_job(claim.job_id)
    unit = require_current_lease(job, lease)
    attempt = require_running_attempt(job, claim)
    if attempt is None or unit.state == UnitState.DONE:
        return
    if unit.attempt_id != attempt.pk:
        message = f"{unit} is no longer held by this attempt"
        raise FencedError(message)
    unit.attempt = attempt
    transition(unit, UnitEvent.FINISH, output={"playlist_key": playlist_key}, done_at=Now())
    transition(job, JobEvent.PREVIEW, manifest=manifest, playlist_key=playlist_key, level=PublicationLevel.PREVIEW)
    Video.objects.filter(pk=job.video_id, deleted_at=None, published_job=None).update(published_job=job)
