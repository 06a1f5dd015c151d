"""On-Demand: where a job's lead goes if Spot fails it.

Leads begin on `job_queue`, which prefers Spot. They get a machine that EC2 does not take back after
`reclaims_before_on_demand` leads in a row were reclaimed, or if AWS Batch has had no capacity for one
for `capacity_wait_s`. Helpers stay on Spot: without them a job is slower, but not stuck. Without an
`on_demand_queue`, nothing here happens.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.observation import BatchStatus, is_machine_loss
from ...lifecycle.reasons import Reason
from ...lifecycle.states import AttemptEvent, AttemptState
from ...models import Attempt, Job
from ..state.attempt_end import end_attempt
from ..state.locking import lock_job
from ..state.rounds import ended_attempts

_RECLAIMED = frozenset({Reason.SPOT_INTERRUPTION, Reason.HOST_LOST})


def wants_on_demand(job: Job) -> bool:
    """Return whether the job's next lead gets an On-Demand machine."""
    conf = bridge_settings()
    if not conf.on_demand_queue:
        return False
    leads = ended_attempts(job).filter(helps=None).order_by("-number")
    newest = list(leads[: max(1, conf.reclaims_before_on_demand)])
    if newest and newest[0].reason == Reason.NO_CAPACITY:
        return True
    return sum(_was_reclaimed(lead) for lead in newest) >= conf.reclaims_before_on_demand


def _was_reclaimed(lead: Attempt) -> bool:
    """Return whether the lead's machine was taken back, as far as AWS has reported it.

    Its container may have ended the attempt first, with SIGTERM, or fallen silent. AWS Batch may report
    the loss only after the next lead was granted: until then, a SIGTERM is taken for a reclaim.
    """
    if lead.reason in _RECLAIMED or lead.leaving_at is not None:
        return True
    if lead.batch_status == BatchStatus.FAILED:
        return is_machine_loss(lead.batch_status_reason, lead.exit_code)
    return lead.reason == Reason.SIGTERM and lead.counted is None


def leave_spot(*, limit: int = 50) -> int:
    """End leads for which Spot has had no capacity for too long, and return their number.

    The reap tick terminates their Batch jobs. One that starts in the meantime finds its attempt ended.
    """
    if not bridge_settings().on_demand_queue:
        return 0
    return sum(_leave(attempt) for attempt in without_capacity()[:limit])


def without_capacity() -> QuerySet[Attempt]:
    """Return the leads that AWS Batch cannot start on Spot."""
    return Attempt.objects.filter(
        state=AttemptState.SUBMITTED,
        helps=None,
        on_demand=False,
        batch_status=BatchStatus.RUNNABLE,
        no_capacity_since__lt=Now() - timedelta(seconds=bridge_settings().capacity_wait_s),
    )


@transaction.atomic
def _leave(attempt: Attempt) -> bool:
    job = lock_job(attempt.job_id)
    current = without_capacity().select_for_update(of=("self",)).filter(pk=attempt.pk).first()
    if current is None:
        return False
    current.job = job
    end_attempt(current, AttemptEvent.LOSE, reason=Reason.NO_CAPACITY, text=current.batch_status_reason)
    return True
