"""Granting: due jobs get their next attempt, in the order of `tasks.lifecycle.turns`, up to a limit.

All grants lock one row (GrantCounter) for the length of a short transaction, so the limit is exact
and owners take turns, however many submit ticks and wake-ups run at a time. A run that finds the row
locked grants nothing: the other run, or the next tick, does. Due jobs that another transaction has
locked are skipped. A turn's jobs are read only when it is served: while BULK has no
room, a backlog of any size costs nothing.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Now

from ...batch.errors import BatchError
from ...batch.port import BatchPort
from ...conf import bridge_settings
from ...lifecycle.reasons import Reason
from ...lifecycle.retry import Decision
from ...lifecycle.states import JobEvent, JobPriority
from ...lifecycle.turns import Limits, Turn, limits_of, next_turn
from ...models import Attempt, GrantCounter, Job, OwnerTurn, Video
from ..state.budget import decide_for, next_final_status_at
from ..state.dead_job import explain_dead
from ..state.in_batch import in_batch
from ..state.resources import memory_mib, timeout_s
from ..state.transition import transition
from .capacity import wants_on_demand

logger = logging.getLogger(__name__)

UNKNOWN_QUEUE = 100
"""`max_in_batch` while it is 0 and AWS has not reported the queue's vCPUs: what an average site runs."""

QUEUE_READ_EACH_S = 300
"""Seconds between two reads of the queue's vCPUs, which an operator changes rarely."""

_PUT_BACK_S = 600
"""Seconds until a job is due again that could not be granted because of what its rows contain."""

_COUNTER = "grants"

HELPER_COUNTER = "helpers"

_CONDITIONS = {
    Turn.RETRY: "job.fence > 0 AND job.priority = 'upload'",
    Turn.UPLOAD: "job.fence = 0 AND job.priority = 'upload'",
    Turn.BULK: "job.priority = 'bulk'",
}
"""What makes a due job wait for a turn. The partial index `job_due_before_bulk` covers the first two."""

_NEXT = """
    SELECT id, owner FROM (
        SELECT id, owner, is_new, next_attempt_at,
               row_number() OVER (PARTITION BY owner, is_new ORDER BY next_attempt_at, id) AS place
          FROM (SELECT job.id, job.next_attempt_at, job.fence = 0 AS is_new,
                       COALESCE((SELECT owner_id::text FROM batchreel_video WHERE id = job.video_id), '') AS owner
                  FROM batchreel_job AS job
                 WHERE job.next_attempt_at <= statement_timestamp() AND {condition}) AS due
    ) AS waiting
     WHERE place <= COALESCE((%(room)s::jsonb ->> owner)::int, %(room_of_others)s)
     ORDER BY is_new, place,
           COALESCE((SELECT number FROM batchreel_ownerturn AS served
                      WHERE served.owner = waiting.owner AND served.turn = %(turn)s), 0),
           next_attempt_at, id
     LIMIT %(limit)s
"""
"""The next jobs of a turn, those that had an attempt first: each owner's oldest, in the order in which
the owners were last served, then each owner's second oldest, and so on. Subqueries instead of joins:
just after an import, when PostgreSQL's statistics still show empty tables, it joined by comparing
each job with each video."""


@dataclass(slots=True, kw_only=True)
class GrantSummary:
    """The new attempts, and the number of due jobs that were examined for them."""

    attempts: list[Attempt] = field(default_factory=list)
    examined: int = 0


def due_jobs() -> Any:
    """Return the jobs that wait for an attempt."""
    return Job.objects.filter(next_attempt_at__lte=Now())


def live_leads_count() -> int:
    """Return the number of leads that are in AWS Batch or about to be submitted. Helpers have their own limit."""
    return Attempt.objects.filter(in_batch(), helps=None).count()


def _live_by_owner() -> dict[str, int]:
    """Return the number of live leads of uploads, for each owner who has some. A bulk request has its own limit."""
    # Subqueries instead of joins, for the reason given at _NEXT.
    uploads = Job.objects.filter(pk=OuterRef("job_id"), priority=JobPriority.UPLOAD)
    live = (
        Attempt.objects.filter(in_batch(), helps=None).order_by().annotate(upload=Subquery(uploads.values("video_id")))
    )
    owners = live.annotate(owner=Subquery(Video.objects.filter(pk=OuterRef("upload")).values("owner_id")))
    return Counter(str(owner) for owner in owners.values_list("owner", flat=True) if owner is not None)


def current_limits(counter: GrantCounter | None = None) -> Limits:
    """Return the limits of live attempts: `max_in_batch`, or twice what the queue can run."""
    conf = bridge_settings()
    if conf.max_in_batch:
        return limits_of(max_in_batch=conf.max_in_batch)
    counter = counter or GrantCounter.objects.filter(name=_COUNTER).first()
    if counter is None or counter.queue_vcpus is None:
        return limits_of(max_in_batch=UNKNOWN_QUEUE)
    return limits_of(max_in_batch=2 * max(1, counter.queue_vcpus // conf.vcpus))


def grant_due(*, limit: int) -> GrantSummary:
    """Create up to `limit` attempts for due jobs.

    A due job that gets none, because it is now DEAD or has to wait for a final status, uses up
    neither the limit nor a turn.
    """
    if not due_jobs().exists():
        return GrantSummary()
    GrantCounter.objects.bulk_create([GrantCounter(name=_COUNTER)], ignore_conflicts=True)
    return _grant(limit)


@transaction.atomic
def _grant(limit: int) -> GrantSummary:
    counter = GrantCounter.objects.select_for_update(skip_locked=True).filter(name=_COUNTER).first()
    if counter is None:
        # Another run grants now, and continues until nothing is left to grant.
        return GrantSummary()
    limits = current_limits(counter)
    live = live_leads_count()
    summary = GrantSummary()
    waiting = _Waiting(limit=limit, owner_limit=limits.owner)
    served: dict[tuple[str, Turn], int] = {}
    while len(summary.attempts) < limit:
        granted = counter.granted + len(summary.attempts)
        turn = next_turn(granted=granted, live=live + len(summary.attempts), limits=limits, is_waiting=waiting.has_any)
        if turn is None:
            break
        job, owner = waiting.take(turn)
        summary.examined += 1
        if attempt := _grant_or_put_back(job):
            summary.attempts.append(attempt)
            served[owner, turn] = granted + 1
    if summary.attempts:
        GrantCounter.objects.filter(name=_COUNTER).update(granted=counter.granted + len(summary.attempts))
        OwnerTurn.objects.bulk_create(
            [OwnerTurn(owner=owner, turn=turn.value, number=number) for (owner, turn), number in served.items()],
            update_conflicts=True,
            update_fields=["number"],
            unique_fields=["owner", "turn"],
        )
    return summary


class _Waiting:
    """The due jobs of each turn, locked and in order, read when the turn is first served."""

    def __init__(self, *, limit: int, owner_limit: int) -> None:
        self._limit, self._owner_limit = limit, owner_limit
        self._jobs: dict[Turn, list[tuple[Job, str]]] = {}

    def has_any(self, turn: Turn) -> bool:
        if turn not in self._jobs:
            self._jobs[turn] = self._read(turn)
        return bool(self._jobs[turn])

    def take(self, turn: Turn) -> tuple[Job, str]:
        return self._jobs[turn].pop(0)

    def _read(self, turn: Turn) -> list[tuple[Job, str]]:
        with connection.cursor() as cursor:
            cursor.execute(
                _NEXT.format(condition=_CONDITIONS[turn]),
                {"turn": turn.value, "limit": self._limit, **self._rooms(turn)},
            )
            owners: dict[uuid.UUID, str] = dict(cursor.fetchall())
        locked = due_jobs().select_for_update(skip_locked=True, of=("self",)).defer("plan")
        jobs = {job.pk: job for job in locked.filter(pk__in=list(owners))}
        return [(jobs[pk], owner) for pk, owner in owners.items() if pk in jobs]

    def _rooms(self, turn: Turn) -> dict[str, str | int]:
        """Return how many more attempts each owner with live ones may get, and how many the other owners may get."""
        if turn is not Turn.UPLOAD:
            return {"room": "{}", "room_of_others": self._limit}
        room = {owner: max(0, self._owner_limit - live) for owner, live in _live_by_owner().items()}
        # Uploads without an owner may be those of many people.
        return {"room": json.dumps(room | {"": self._limit}), "room_of_others": self._owner_limit}


def _grant_or_put_back(job: Job) -> Attempt | None:
    """Grant the job, or delay it if its row cannot be granted, so that all others still get their turn."""
    try:
        with transaction.atomic():
            return _grant_one(job)
    except OperationalError:
        raise
    except (DatabaseError, ArithmeticError, ValueError):
        logger.exception("GRANT_FAILED %s", job)
        Job.objects.filter(pk=job.pk).update(next_attempt_at=Now() + timedelta(seconds=_PUT_BACK_S))
        return None


def _grant_one(job: Job) -> Attempt | None:
    decision = decide_for(job)
    if decision is Decision.WAIT_FOR_FINAL_STATUS:
        Job.objects.filter(pk=job.pk).update(next_attempt_at=next_final_status_at(job))
        return None
    if decision is not Decision.GRANT:
        _mark_dead(
            job, Reason.ATTEMPTS_EXHAUSTED if decision is Decision.ATTEMPTS_EXHAUSTED else Reason.TOO_MANY_LOSSES
        )
        return None
    number = job.fence + 1
    transition(job, JobEvent.GRANT, text=f"attempt {number}", fence=number, next_attempt_at=None)
    return create_attempt(job, number=number, memory=memory_mib(job), on_demand=wants_on_demand(job))


def create_attempt(job: Job, *, number: int, memory: int, helps: int | None = None, on_demand: bool = False) -> Attempt:
    """Create an attempt with this memory in MiB for a locked job. `helps` is the number of a helper's lead."""
    conf = bridge_settings()
    return Attempt.objects.create(
        job=job,
        number=number,
        helps=helps,
        on_demand=on_demand,
        batch_job_name=f"{conf.job_name_prefix}-{job.pk}-{number}",
        vcpus=conf.vcpus,
        memory_mib=memory,
        timeout_s=timeout_s(job),
        submit_called_at=Now(),
    )


def _mark_dead(job: Job, reason: Reason) -> None:
    why = explain_dead(job, reason)
    columns = {"reason_message": why.message, "next_attempt_at": None, "finished_at": Now()}
    transition(job, JobEvent.DEAD, reason=reason, text=why.event_text, details=why.details, **columns)
    extra = {"job": job.pk, "video": job.video_id, "reason": str(reason), "cause": why.cause}
    transaction.on_commit(lambda: logger.error("JOB_DEAD", extra=extra))


def read_queues(*, batch: BatchPort) -> None:
    """Ask AWS how many vCPUs the job queues may have, every `QUEUE_READ_EACH_S`.

    If AWS does not answer, the last known number stays. Raises no BatchError.
    """
    conf = bridge_settings()
    if not conf.max_in_batch:
        _read_queue(_COUNTER, conf.job_queue, batch=batch)
    if conf.max_helpers:
        _read_queue(HELPER_COUNTER, conf.queue_of(is_helper=True), batch=batch)


def _read_queue(name: str, queue: str, *, batch: BatchPort) -> None:
    GrantCounter.objects.bulk_create([GrantCounter(name=name)], ignore_conflicts=True)
    stale = Q(queue_read_at=None) | Q(queue_read_at__lte=Now() - timedelta(seconds=QUEUE_READ_EACH_S))
    # Written first, so that a call that hangs is not repeated by the next tick.
    if not GrantCounter.objects.filter(stale, name=name).update(queue_read_at=Now()):
        return
    try:
        vcpus = batch.queue_vcpus(queue)
    except BatchError as error:
        logger.warning("QUEUE_NOT_READ %s", error)
        return
    GrantCounter.objects.filter(name=name).update(queue_vcpus=vcpus)


def waits_for_room() -> Q:
    """Match due jobs that are not granted because too many attempts are live.

    With less than three quarters of a limit in use, a job waits for something else.
    """
    limits, live = current_limits(), live_leads_count()
    if 4 * live >= 3 * limits.total:
        return Q(pk__isnull=False)
    full = [owner for owner, count in _live_by_owner().items() if 4 * count >= 3 * limits.owner]
    of_full_owner = Q(fence=0, video__owner__in=full)
    return of_full_owner | Q(priority=JobPriority.BULK) if 4 * live >= 3 * limits.bulk else of_full_owner
