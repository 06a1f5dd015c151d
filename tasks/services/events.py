"""Applying events of AWS: each is an observation of one Batch job, or a warning about one machine.

An event belongs to the attempt with its Batch job's id, or, if that id is not recorded yet, to the
attempt with its name, which is unique. No row is ever created from an event. Events may be lost,
late, repeated and in any order, and nothing depends on them: observe polls what they left out.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from ..batch.events import BatchJobEvent, Event, SpotWarningEvent
from ..lifecycle.errors import NotFoundError
from ..lifecycle.states import LIVE_ATTEMPT_STATES
from ..models import Attempt
from .state.observation import apply_observation
from .state.transition import append_event
from .ticks.submit import record_batch_job


def apply_event(event: Event) -> bool | None:
    """Apply the event. Return whether it changed a row, or None if it is about a Batch job without an attempt.

    Both False and None are final. None is an event of another site, or of an orphan. Raises
    DatabaseError.
    """
    if isinstance(event, SpotWarningEvent):
        return _warn(event.instance_id)
    attempt = _attempt_of(event)
    return None if attempt is None else apply_observation(attempt, event.observation)


def _attempt_of(event: BatchJobEvent) -> Attempt | None:
    batch_job_id = event.observation.batch_job_id
    attempt = Attempt.objects.filter(batch_job_id=batch_job_id).first()
    if attempt is not None:
        return attempt
    attempt = Attempt.objects.filter(batch_job_name=event.job_name, batch_job_id=None).first()
    if attempt is None:
        return None
    # The event came before SubmitJob's response was recorded, or that response was lost. If another
    # Batch job of this name has got the attempt in the meantime, this one is an orphan.
    try:
        record_batch_job(attempt, batch_job_id)
    except NotFoundError:  # its video was deleted, and purged
        return None
    return Attempt.objects.filter(batch_job_id=batch_job_id).first()


def _warn(instance_id: str) -> bool:
    """Make the machine's containers leave: at the next heartbeat, which may be the first one after the claim."""
    here = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES, ec2_instance_id=instance_id, leaving_at=None)
    warned = 0
    for attempt in here.select_related("job"):
        with transaction.atomic():
            # Repeats the condition: the attempt may have ended, or another listener may be faster.
            if here.filter(pk=attempt.pk).update(leaving_at=Now()):
                warned += 1
                append_event("attempt.leaving", job=attempt.job, attempt_number=attempt.number, text=instance_id)
    return bool(warned)
