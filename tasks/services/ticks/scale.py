"""Helpers: more containers for jobs with much work left, as many as `lifecycle.scaling` wants.

Decided again by each submit tick, the first time together with the lead: by the size of the source,
as nothing else is known before the plan. Jobs are helped in the order in which they were requested,
uploads before bulk, as far as the helpers' queue has room. Helpers that still wait for a machine when
little work is left are cancelled.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, OperationalError, transaction
from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Extract, Now

from ...conf import BridgeSettings, bridge_settings
from ...lifecycle.reasons import Reason
from ...lifecycle.scaling import Work, missing_helpers, surplus_helpers, wanted_helpers, work_left_s
from ...lifecycle.states import (
    LIVE_ATTEMPT_STATES,
    WORK_UNIT_KINDS,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobPriority,
    JobState,
    UnitState,
)
from ...models import Attempt, GrantCounter, Job, Unit
from ..state.in_batch import in_batch
from ..state.rounds import ROUND
from ..state.transition import transition
from .grant import HELPER_COUNTER, UNKNOWN_QUEUE, create_attempt

logger = logging.getLogger(__name__)

_JOBS = 100
"""Most jobs for which one run computes the work that is left."""

_FAILED_HELPERS_LIMIT = 5
"""Helpers of a round that may fail without having finished a unit. Whatever fails them would fail the next one."""

_LOST_HELPERS_FACTOR = 2
"""Times `max_helpers` that helpers of a round may be lost without having finished a unit."""


@dataclass(slots=True, kw_only=True)
class _Help:
    """What a job has and needs."""

    job_id: uuid.UUID
    lead: int
    wanted: int
    running: int
    waiting: int
    is_bulk: bool


@transaction.atomic
def grant_helpers(*, limit: int) -> list[Attempt]:
    """Create up to `limit` helpers, and cancel those that are not needed any more.

    A run that finds the counter's row locked does nothing: the other run does it.
    """
    conf = bridge_settings()
    if not conf.max_helpers:
        return []
    GrantCounter.objects.bulk_create([GrantCounter(name=HELPER_COUNTER)], ignore_conflicts=True)
    counter = GrantCounter.objects.select_for_update(skip_locked=True).filter(name=HELPER_COUNTER).first()
    if counter is None:
        return []
    room = _room(counter, conf)
    granted: list[Attempt] = []
    short = 0
    """Helpers of uploads for which there is no room."""
    for help_ in _needs(conf):
        live = help_.running + help_.waiting
        surplus = surplus_helpers(wanted=help_.wanted, running=help_.running, waiting=help_.waiting)
        if help_.is_bulk and short and not surplus:
            surplus = min(short, help_.waiting)
            short -= surplus
        if surplus:
            _isolated(_cancel_waiting, help_, surplus)
            continue
        missing = missing_helpers(wanted=help_.wanted, live=live, room=room - len(granted))
        if not help_.is_bulk:
            short += max(0, help_.wanted - live - missing)
        if number := min(limit - len(granted), missing):
            granted += _isolated(_grant, help_, number)
        if len(granted) >= limit:
            break
    return granted


def _isolated(change: Callable[[Job, _Help, int], list[Attempt]], help_: _Help, number: int) -> list[Attempt]:
    """Change one job's helpers, unless another transaction has locked the job.

    Waiting for it would hold up all others, whose rows this run has locked. Nor does a job whose rows
    cannot be changed.
    """
    try:
        with transaction.atomic():
            free = Job.objects.select_for_update(skip_locked=True, of=("self",)).defer("plan")
            job = free.filter(pk=help_.job_id).first()
            return change(job, help_, number) if job else []
    except OperationalError:
        raise
    except (DatabaseError, ArithmeticError, ValueError):
        logger.exception("HELP_FAILED %s", help_.job_id)
        return []


def _room(counter: GrantCounter, conf: BridgeSettings) -> int:
    """Return how many more containers the helpers' queue can run: AWS starts what is beyond that much later."""
    can_run = UNKNOWN_QUEUE if counter.queue_vcpus is None else counter.queue_vcpus // conf.vcpus
    if conf.max_in_batch:
        can_run = min(can_run, conf.max_in_batch)
    # Leads too: the queues share their machines.
    return max(0, can_run - Attempt.objects.filter(in_batch()).count())


def _needs(conf: BridgeSettings) -> list[_Help]:
    """Return the active jobs in the order in which they are helped, with what they have and need."""
    # "bulk" comes before "upload" by name. The index `job_with_container` has this order.
    with_container = Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING], fence__gt=0)
    # A second query instead of a join, for the reason given at `grant._NEXT`.
    in_order = with_container.prefetch_related("video").order_by("-priority", "created_at").defer("plan")
    jobs = list(in_order[:_JOBS])
    ids = [job.pk for job in jobs]
    attempts = _attempts(ids)
    work = _work(jobs, conf)
    rule = conf.helper_rule
    return [
        _Help(
            job_id=job.pk,
            lead=lead,
            wanted=wanted_helpers(work[job.pk], rule),
            running=running,
            waiting=waiting,
            is_bulk=job.priority == JobPriority.BULK,
        )
        for job in jobs
        for lead, running, waiting in [attempts[job.pk]]
        if lead
    ]


def _attempts(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[int, int, int]]:
    """Return the number of the newest round, and its running and waiting helpers, of each job."""
    is_helper = Q(helps__isnull=False)
    rows = (
        Attempt.objects.filter(job__in=ids)
        .order_by()
        .values_list("job")
        .annotate(
            newest=Max(ROUND),
            running=Count("pk", filter=is_helper & Q(state=AttemptState.RUNNING)),
            waiting=Count("pk", filter=is_helper & Q(state__in=LIVE_ATTEMPT_STATES - {AttemptState.RUNNING})),
        )
    )
    return defaultdict(lambda: (0, 0, 0), {job: (newest, running, waiting) for job, newest, running, waiting in rows})


def _work(jobs: Sequence[Job], conf: BridgeSettings) -> dict[uuid.UUID, Work]:
    """Return what is left to do of each job, by its plan and what the finished units took."""
    done = Q(state=UnitState.DONE)
    took: Any = Extract(F("done_at") - F("leased_at"), "epoch")
    rows = (
        Unit.objects.filter(job__in=[job.pk for job in jobs], kind__in=WORK_UNIT_KINDS)
        .order_by()
        .values_list("job")
        .annotate(
            left=Count("pk", filter=~done),
            all_frames=Sum("weight_frames"),
            done_frames=Sum("weight_frames", filter=done, default=0),
            measured_s=Sum(took, filter=done, default=0.0),
        )
    )
    by_job = {job: values for job, *values in rows}
    found: dict[uuid.UUID, Work] = {}
    for job in jobs:
        if job.encode_cost_s is None:
            found[job.pk] = _guessed_work(job, conf)
            continue
        cost_s = job.encode_cost_s if job.encode_cost_s and math.isfinite(job.encode_cost_s) else 0.0
        left, all_frames, done_frames, measured_s = by_job.get(job.pk, (0, 0, 0, 0.0))
        found[job.pk] = Work(
            left_s=work_left_s(
                planned_s=cost_s / conf.threads_per_unit,
                done_frames=done_frames,
                all_frames=all_frames,
                measured_s=float(measured_s),
            )
            if left
            else 0.0,
            units_left=left,
        )
    return found


def _guessed_work(job: Job, conf: BridgeSettings) -> Work:
    """Return the work of a job without a plan, by the size of its source: none if nobody waits for it, or the
    size is not known."""
    if job.priority != JobPriority.UPLOAD or job.video.source.name != job.source_name:
        return Work(left_s=0.0, is_guess=True)
    gigabytes = (job.video.source_bytes or 0) / 1e9
    return Work(left_s=gigabytes * conf.early_work_s_per_gb / conf.threads_per_unit, is_guess=True)


def _grant(job: Job, help_: _Help, number: int) -> list[Attempt]:
    lead = Attempt.objects.filter(job=job, number=help_.lead).first()
    if job.state not in (JobState.QUEUED, JobState.RUNNING) or lead is None or _gives_up(lead):
        return []
    granted = []
    for _ in range(number):
        fence = job.fence + 1
        transition(job, JobEvent.HELP, text=f"helps attempt {lead.number}", fence=fence)
        # The lead's memory: a round that runs out of it raises it once, for the next round.
        granted.append(create_attempt(job, number=fence, helps=lead.number, memory=lead.memory_mib))
    return granted


def _gives_up(lead: Attempt) -> bool:
    """Return whether too many helpers of this round ended without having finished a unit."""
    idle = Attempt.objects.filter(job=lead.job, helps=lead.number, ended_at__isnull=False, units_done=0)
    idle = idle.exclude(state__in=[AttemptState.SUCCEEDED, AttemptState.CANCELLED])
    failed = Q(counted=True) | Q(reason=Reason.ENGINE_DIFFERS)
    counts = idle.aggregate(failed=Count("pk", filter=failed), all=Count("pk"))
    lost_limit = _LOST_HELPERS_FACTOR * bridge_settings().max_helpers
    return bool(counts["failed"] >= _FAILED_HELPERS_LIMIT or counts["all"] >= lost_limit)


def _cancel_waiting(job: Job, _help: _Help, number: int) -> list[Attempt]:
    """Cancel the helpers that were granted last. The reap tick terminates their Batch jobs."""
    waiting = Attempt.objects.filter(job=job, state__in=LIVE_ATTEMPT_STATES - {AttemptState.RUNNING})
    for attempt in waiting.filter(helps__isnull=False).order_by("-number")[:number]:
        attempt.job = job
        transition(attempt, AttemptEvent.CANCEL, reason=Reason.NOT_NEEDED, counted=False, ended_at=Now())
    return []
