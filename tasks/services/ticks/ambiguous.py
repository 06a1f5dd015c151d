"""Ambiguous submissions: SubmitJob may or may not have taken effect.

The Batch job is looked up by name, then adopted, or submitted again if it does not exist. ListJobs
lags behind SubmitJob, so a single miss proves nothing: the call is repeated only after two misses,
each a settle window (`submit_lookup_delay_s`) apart. If the first Batch job appears after that,
only one of the two can claim the attempt, and the reap tick terminates the other.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from ...batch.port import BatchPort, ListedJob
from ...conf import bridge_settings
from ...lifecycle.errors import NotFoundError
from ...lifecycle.observation import FINAL_STATUSES
from ...lifecycle.states import AttemptState
from ...models import Attempt
from ..state.locking import lock_job, read_attempt
from ..state.transition import append_event
from .submit import record_submitted, terminate_orphan

logger = logging.getLogger(__name__)

LOOKUP_MISSES = 2
"""Number of lookup misses, a settle window apart, before SubmitJob is called again."""


def resolve_ambiguous(*, batch: BatchPort, limit: int = 20, only_job: uuid.UUID | None = None) -> int:
    """Look up the Batch jobs of ambiguous submissions, of one job or of all, and return the number of lookups.

    Raises BatchError if AWS cannot be queried: the remainder waits for the next run.
    """
    settled = Now() - timedelta(seconds=bridge_settings().submit_lookup_delay_s)
    ambiguous = (
        Attempt.objects.filter(
            Q(lookup_at=None) | Q(lookup_at__lte=settled),
            state=AttemptState.SUBMITTING,
            batch_job_id=None,
            submit_at=None,
            submit_called_at__lte=settled,
        )
        .select_related("job")
        .order_by("lookup_at", "pk")
    )
    if only_job is not None:
        ambiguous = ambiguous.filter(job=only_job)
    lookups = 0
    for attempt in ambiguous[:limit]:
        found = batch.find(name=attempt.batch_job_name)
        lookups += 1
        if found:
            _adopt(attempt, found, batch=batch)
        else:
            with suppress(NotFoundError):  # its video was deleted, and purged
                _record_lookup_miss(attempt)
    return lookups


def _adopt(attempt: Attempt, found: list[ListedJob], *, batch: BatchPort) -> None:
    oldest_first = sorted(found, key=lambda each: (each.status in FINAL_STATUSES, each.created_at_ms))
    adopted, *extras = oldest_first
    logger.info("BATCH_SUBMIT_ADOPTED %s %s", attempt.batch_job_name, adopted.batch_job_id)
    record_submitted(attempt, batch_job_id=adopted.batch_job_id, batch=batch)
    # A container's claim may have come first and assigned another one of them to the attempt.
    owner = Attempt.objects.filter(pk=attempt.pk).values_list("batch_job_id", flat=True).first()
    for extra in extras:
        if extra.batch_job_id != owner and extra.status not in FINAL_STATUSES:
            terminate_orphan(extra.batch_job_id, batch=batch, why="another Batch job has this attempt")


@transaction.atomic
def _record_lookup_miss(attempt: Attempt) -> None:
    job = lock_job(attempt.job_id)
    current = read_attempt(job, attempt.number)
    if current.state != AttemptState.SUBMITTING or current.batch_job_id is not None:
        return
    current.lookup_misses += 1
    again = current.lookup_misses >= LOOKUP_MISSES
    Attempt.objects.filter(pk=current.pk).update(
        lookup_misses=0 if again else current.lookup_misses,
        lookup_at=None if again else Now(),
        submit_at=Now() if again else None,
    )
    if again:
        append_event(
            "attempt.resubmit", job=job, attempt_number=attempt.number, text="two lookups did not find the Batch job"
        )
