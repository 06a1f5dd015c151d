"""Reconciliation on demand: everything that the ticks would fix, in one run, with a dry run.

The real run and the dry run execute the same services against a snapshot of AWS's responses, one
job after the other, each in a transaction that the dry run rolls back; the events that the services
append are the report. The dry run therefore cannot differ from the real one, no AWS call is made
inside a transaction, and neither holds the locks of more than one job.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.signals import post_save

from ..batch.errors import BatchError
from ..batch.port import BatchPort, ListedJob, ListedPage, Submission
from ..conf import bridge_settings
from ..lifecycle.errors import NotFoundError
from ..lifecycle.observation import Observation
from ..lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState
from ..models import Attempt, Event, Job
from ..schedule.ticks import RESCUE
from .requests.request import request_missing_job, videos_needing_job
from .state.observation import apply_observation, is_news
from .state.tick_gaps import continuous_since
from .ticks.alerts import alert_stuck_runnable, stuck_runnable
from .ticks.ambiguous import resolve_ambiguous
from .ticks.hold import cut_off
from .ticks.reap import ended_without_final_status, reap_batch_jobs, terminate_each
from .ticks.rescue import rescue, suspects
from .ticks.resume import idle_jobs, resume

_LIMIT = 1000
"""Maximum number of rows of each kind in one run; run it again for more."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was done, or would be: the events in order, and the terminated Batch jobs, each with the reason.

    `not_terminated` contains the Batch jobs whose TerminateJob failed, each with the error: the
    reap tick retries them.
    """

    events: list[Event] = field(default_factory=list)
    terminated: list[tuple[str, str]] = field(default_factory=list)
    not_terminated: list[tuple[str, BatchError]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Return whether there was nothing to fix."""
        return not (self.events or self.terminated or self.not_terminated)


@dataclass(slots=True, kw_only=True)
class _Snapshot:
    """A BatchPort that answers from earlier AWS responses and records the Batch jobs to terminate."""

    observations: dict[str, Observation]
    active: list[ListedJob]
    found: dict[str, list[ListedJob]]
    terminated: list[tuple[str, str]] = field(default_factory=list)

    def of_job(self, job_id: uuid.UUID) -> _Snapshot:
        """Return the part of this snapshot that concerns the job. Both record into the same list."""
        prefix = f"{bridge_settings().job_name_prefix}-{job_id}-"
        numbers = Attempt.objects.filter(job=job_id, batch_job_id__in=list(self.observations))
        ids = numbers.values_list("batch_job_id", flat=True)
        return replace(
            self,
            observations={str(each): self.observations[str(each)] for each in ids},
            active=[each for each in self.active if each.name.startswith(prefix)],
        )

    def without_jobs(self, job_ids: Sequence[uuid.UUID]) -> _Snapshot:
        """Return the Batch jobs whose names contain none of these jobs."""
        prefixes = tuple(f"{bridge_settings().job_name_prefix}-{job_id}-" for job_id in job_ids)
        return replace(
            self, observations={}, active=[each for each in self.active if not each.name.startswith(prefixes)]
        )

    def submit(self, submission: Submission) -> str:
        """Raise AssertionError: only the submit tick submits."""
        message = f"{submission.name} was about to be submitted"
        raise AssertionError(message)

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        """See BatchPort. Ids that are newer than the snapshot are left out."""
        return [self.observations[each] for each in batch_job_ids if each in self.observations]

    def find(self, *, name: str) -> list[ListedJob]:
        """See BatchPort."""
        return self.found.get(name, [])

    def list_active(self, *, position: str) -> ListedPage:
        """See BatchPort."""
        return ListedPage(jobs=self.active, next_position="")

    def queue_vcpus(self, queue: str) -> int | None:
        """Raise AssertionError: only the observe tick reads the queue."""
        message = "the queue was about to be read"
        raise AssertionError(message)

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Record the Batch job and the reason."""
        self.terminated.append((batch_job_id, reason))

    def terminate_many(self, batch_job_ids: Sequence[str], *, reason: str) -> dict[str, BatchError]:
        """Record the Batch jobs and the reason."""
        self.terminated += [(each, reason) for each in batch_job_ids]
        return {}


def reconcile(*, batch: BatchPort, apply_changes: bool) -> Report:
    """Fix what is wrong if `apply_changes`, otherwise only report it.

    Raises BatchError, with nothing changed, if AWS cannot be queried.
    """
    snapshot = _take_snapshot(batch)
    with _own_events() as events:
        _fix(snapshot, apply_changes=apply_changes)
    report = Report(events=events)
    if not apply_changes:
        report.terminated = snapshot.terminated
        return report
    for reason, found in groupby(snapshot.terminated, key=itemgetter(1)):
        for batch_job_id, error in terminate_each([each for each, _ in found], batch=batch, reason=reason):
            if error is None:
                report.terminated.append((batch_job_id, reason))
            else:
                report.not_terminated.append((batch_job_id, error))
    return report


@contextmanager
def _own_events() -> Iterator[list[Event]]:
    """Collect the events that this process appends; the ticks keep running and append their own."""
    events: list[Event] = []

    def collect(*, instance: Event, **_: object) -> None:
        events.append(instance)

    post_save.connect(collect, sender=Event, weak=False)
    try:
        yield events
    finally:
        post_save.disconnect(collect, sender=Event)


@contextmanager
def _step(*, apply_changes: bool) -> Iterator[None]:
    with transaction.atomic():
        yield
        if not apply_changes:
            transaction.set_rollback(True)


def _fix(snapshot: _Snapshot, *, apply_changes: bool) -> None:
    for video_id in videos_needing_job().values_list("pk", flat=True)[:_LIMIT]:
        with _step(apply_changes=apply_changes):
            request_missing_job(video_id)
    since = continuous_since(RESCUE.name, period_s=bridge_settings().rescue_tick_s)
    # Decided for all of them together, so not job by job.
    spared = frozenset(cut_off())
    job_ids = _jobs_to_fix(snapshot, rescued_since=since)
    for job_id in job_ids:
        with _step(apply_changes=apply_changes):
            _fix_job(job_id, snapshot.of_job(job_id), rescued_since=since, spared=spared)
    with _step(apply_changes=apply_changes):
        reap_batch_jobs(batch=snapshot.without_jobs(job_ids), limit=_LIMIT)


def _fix_job(job_id: uuid.UUID, snapshot: _Snapshot, *, rescued_since: datetime | None, spared: frozenset[int]) -> None:
    resolve_ambiguous(batch=snapshot, limit=_LIMIT, only_job=job_id)
    for attempt in _live().filter(job=job_id, batch_job_id__in=list(snapshot.observations)):
        apply_observation(attempt, snapshot.observations[str(attempt.batch_job_id)])
    if rescued_since:
        rescue(batch=snapshot, continuous_since=rescued_since, limit=_LIMIT, only_job=job_id, spared=spared)
    with suppress(NotFoundError):  # its video was deleted, and purged
        resume(job_id)
    alert_stuck_runnable(limit=_LIMIT, only_job=job_id)
    reap_batch_jobs(batch=snapshot, limit=_LIMIT)


def _jobs_to_fix(snapshot: _Snapshot, *, rescued_since: datetime | None) -> list[uuid.UUID]:
    """Return the jobs that one of the repairs may change, oldest first."""
    seen = snapshot.observations
    known = _live().filter(batch_job_id__in=list(seen))
    ambiguous = Attempt.objects.filter(batch_job_name__in=list(snapshot.found))
    late = suspects(rescued_since) if rescued_since else Attempt.objects.none()
    job_ids = {attempt.job_id for attempt in known if is_news(attempt, seen[str(attempt.batch_job_id)])}
    for attempts in (ambiguous, late, stuck_runnable(), ended_without_final_status().order_by()):
        job_ids |= set(attempts.values_list("job_id", flat=True)[:_LIMIT])
    job_ids |= set(idle_jobs().values_list("pk", flat=True)[:_LIMIT])
    return list(Job.objects.filter(pk__in=job_ids).order_by("created_at", "pk").values_list("pk", flat=True))


def _take_snapshot(batch: BatchPort) -> _Snapshot:
    ids = [
        *_live().values_list("batch_job_id", flat=True),
        *ended_without_final_status().values_list("batch_job_id", flat=True),
    ]
    ambiguous = Attempt.objects.filter(state=AttemptState.SUBMITTING, batch_job_id=None, submit_at=None)
    return _Snapshot(
        observations={seen.batch_job_id: seen for seen in batch.describe([str(each) for each in ids[:_LIMIT]])},
        active=_list_all_active(batch),
        found={name: batch.find(name=name) for name in ambiguous.values_list("batch_job_name", flat=True)[:_LIMIT]},
    )


def _list_all_active(batch: BatchPort) -> list[ListedJob]:
    jobs: list[ListedJob] = []
    position = ""
    while True:
        page = batch.list_active(position=position)
        if page.error:
            raise page.error
        jobs += page.jobs
        position = page.next_position
        if not position:
            return jobs


def _live() -> QuerySet[Attempt]:
    return Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES, batch_job_id__isnull=False).select_related("job")


def event_line(event: Event) -> str:
    """Return one change of a report in a line, for operators."""
    subject = f"job {event.job_id}" if event.job_id else f"video {event.video_id}"
    if event.attempt_number:
        subject += f", attempt {event.attempt_number}"
    change = f" {event.from_state or '-'} -> {event.to_state}" if event.to_state else ""
    why = f": {event.text}" if event.text else ""
    return f"{event.kind} ({subject}){change}{why}"
