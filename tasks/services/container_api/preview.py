"""Publishing a preview: level 0, the source's own streams, while the ladder is made. It never takes the place of anything."""

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
def publish_preview(claim: Claim, lease: Lease, *, manifest: dict[str, Any], manifest_key: str) -> None:
    """Note the preview at the job, and point the video at it unless the video shows something already, or was deleted.

    Doing it again, after a lost answer, is success. Nothing happens where the job was published meanwhile. Raises FencedError or
    AttemptCancelledError: nothing was written then.
    """
    lock_video_of(claim.job_id)
    job = lock_job(claim.job_id)
    unit = require_current_lease(job, lease)
    attempt = require_running_attempt(job, claim)
    if attempt is None or unit.state == UnitState.DONE:
        return
    if unit.attempt_id != attempt.pk:
        message = f"{unit} is in other hands"
        raise FencedError(message)
    unit.attempt = attempt
    transition(unit, UnitEvent.FINISH, output={"manifest_key": manifest_key}, done_at=Now())
    transition(job, JobEvent.PREVIEW, manifest=manifest, manifest_key=manifest_key, level=PublicationLevel.PREVIEW)
    Video.objects.filter(pk=job.video_id, deleted_at=None, published_job=None).update(published_job=job)
