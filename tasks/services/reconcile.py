"""Reconciliation on demand: everything that the ticks would fix, in one run, with a dry run.

The real run and the dry run execute the same services against a snapshot of AWS's responses, in a
transaction that the dry run rolls back; the events that the services append are the report. The dry
run therefore cannot differ from the real one, and no AWS call is made inside the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.signals import post_save

from ..batch.errors import BatchError
from ..batch.port import BatchPort, ListedJob, ListedPage, Submission
from ..conf import bridge_settings
from ..lifecycle.observation import Observation
from ..lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState
from ..models import Attempt, Event
from ..schedule.ticks import RESCUE
from .requests.request import request_missing_jobs
from .ticks.alerts import alert_stuck_runnable
from .ticks.ambiguous import resolve_ambiguous
from .ticks.lease import continuous_since
from .ticks.observe import apply_observation
from .ticks.reap import ended_without_final_status, reap_batch_jobs
from .ticks.rescue import rescue
from .ticks.resume import resume_idle

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

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Record the Batch job and the reason."""
        self.terminated.append((batch_job_id, reason))


def reconcile(*, batch: BatchPort, apply_changes: bool) -> Report:
    """Fix what is wrong if `apply_changes`, otherwise only report it.

    Raises BatchError, with nothing changed, if AWS cannot be queried.
    """
    snapshot = _take_snapshot(batch)
    with _own_events() as events, transaction.atomic():
        _fix(snapshot)
        if not apply_changes:
            transaction.set_rollback(True)
    report = Report(events=events)
    for batch_job_id, reason in snapshot.terminated:
        try:
            if apply_changes:
                batch.terminate(batch_job_id, reason=reason)
            report.terminated.append((batch_job_id, reason))
        except BatchError as error:
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


def _fix(snapshot: _Snapshot) -> None:
    request_missing_jobs(limit=_LIMIT)
    resolve_ambiguous(batch=snapshot, limit=_LIMIT)
    for attempt in _live().filter(batch_job_id__in=list(snapshot.observations)):
        apply_observation(attempt, snapshot.observations[str(attempt.batch_job_id)])
    if since := continuous_since(RESCUE.name, period_s=bridge_settings().rescue_tick_s):
        rescue(batch=snapshot, continuous_since=since, limit=_LIMIT)
    resume_idle(limit=_LIMIT)
    alert_stuck_runnable(limit=_LIMIT)
    reap_batch_jobs(batch=snapshot, limit=_LIMIT)


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
    page = batch.list_active(position="")
    jobs = page.jobs
    while page.next_position:
        page = batch.list_active(position=page.next_position)
        jobs += page.jobs
    return jobs


def _live() -> QuerySet[Attempt]:
    return Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES, batch_job_id__isnull=False).select_related("job")
