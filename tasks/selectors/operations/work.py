"""What the containers of a job did and when, from its attempts and its events.

Rows of units contain only their newest lease, and leave with the end of the job; events contain every lease, and
stay for `event_retention_s` (ADR 28). So the history of units is read from events, and is empty once they expired.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models.functions import Now

from ...lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState, JobEvent, JobState, UnitEvent, UnitKind
from ...models import Attempt, Event, Job

MAX_CONTAINERS = 60
"""Containers of a job that are shown, the newest ones: two rounds of 31 helpers would not fit on a screen."""

LEAVING = "attempt.leaving"
_KINDS = (UnitEvent.LEASE, UnitEvent.FINISH, UnitEvent.REDO, JobEvent.REVIVE, LEAVING)
_UNIT = re.compile(r"(plan|video|audio|publish) (\d+)")
_SILENCE = timedelta(seconds=30)
"""A container that was lost counts as silent if its last heartbeat is older: more than one was missing."""

_COLUMNS = (
    *("number", "helps", "state", "reason", "reason_message", "created_at", "started_at", "claimed_at", "heartbeat_at"),
    *("leaving_at", "ended_at", "instance_type", "availability_zone", "purchase", "vcpus", "stage", "batch_status"),
)


class Outcome(enum.StrEnum):
    """How a lease of a unit ended."""

    DONE = "done"
    LOST = "lost"
    """Its container ended first; another lease began again."""
    BAD = "bad"
    """It was finished, but its output failed verification."""
    STOPPED = "stopped"
    """Its container was ended on purpose."""
    RUNNING = "running"


@dataclass(slots=True, kw_only=True)
class Lease:
    """One lease of a unit: from its beginning to its end, or until now."""

    kind: UnitKind
    index: int
    number: int
    """Number of the attempt."""
    began_at: datetime
    ended_at: datetime
    outcome: Outcome = Outcome.RUNNING
    after: Lease | None = None
    """The lease that was lost or bad, and that this one repeats."""

    @property
    def name(self) -> str:
        """The unit's name, as in `Attempt.units_in_progress`."""
        return f"{self.kind} {self.index}"


@dataclass(slots=True, kw_only=True)
class Container:
    """One attempt, with its leases in the order in which they began."""

    attempt: Attempt
    until: datetime
    """Its end, or now."""
    leases: list[Lease] = field(default_factory=list)

    @property
    def began_at(self) -> datetime | None:
        """When the container claimed its attempt; None if it never did."""
        return self.attempt.claimed_at

    @property
    def silent_from(self) -> datetime | None:
        """When a lost container was last alive, if that was noticed later."""
        heartbeat_at, attempt = self.attempt.heartbeat_at, self.attempt
        is_lost = attempt.state == AttemptState.LOST and heartbeat_at is not None
        return heartbeat_at if is_lost and heartbeat_at and self.until - heartbeat_at > _SILENCE else None

    @property
    def is_live(self) -> bool:
        """Whether the attempt has not ended."""
        return self.attempt.state in LIVE_ATTEMPT_STATES

    @property
    def is_failed(self) -> bool:
        """Whether it was lost or failed."""
        return self.attempt.state in (AttemptState.LOST, AttemptState.FAILED)

    def units(self, outcome: Outcome) -> list[Lease]:
        """Return the leases that ended like this."""
        return [lease for lease in self.leases if lease.outcome == outcome]


@dataclass(slots=True, kw_only=True)
class Work:
    """The work on a job: its containers by number, and what happened to the job."""

    job: Job
    now: datetime
    containers: list[Container]
    left_out: int
    """Earlier containers, beyond MAX_CONTAINERS."""
    revived_at: list[datetime]
    units_are_known: bool
    """False once the events expired: then only the containers' times are left."""

    @property
    def is_active(self) -> bool:
        """Whether the job may still change."""
        return self.job.state in (JobState.QUEUED, JobState.RUNNING, JobState.RETRY_WAIT)

    @property
    def until(self) -> datetime:
        """When the job ended, or now."""
        ends = [each.until for each in self.containers]
        return self.now if self.is_active else max([self.job.finished_at or self.job.created_at, *ends])


def work_of(job: Job) -> Work:
    """Return the work on a job, in three queries."""
    now: datetime = Job.objects.filter(pk=job.pk).values_list(Now(), flat=True).get()
    attempts = Attempt.objects.filter(job=job)
    rows = list(attempts.order_by("-number").only(*_COLUMNS)[:MAX_CONTAINERS])[::-1]
    left_out = rows[0].number - 1 if rows else 0
    containers = {row.number: Container(attempt=row, until=row.ended_at or now) for row in rows}
    events = Event.objects.filter(job_id=job.pk, kind__in=_KINDS).order_by("id")
    found = list(events.values_list("kind", "attempt_number", "created_at", "text"))
    for lease in _leases(found, containers):
        containers[lease.number].leases.append(lease)
    worked = any(each.began_at for each in containers.values())
    return Work(
        job=job,
        now=now,
        containers=list(containers.values()),
        left_out=left_out,
        revived_at=[at for kind, _, at, _ in found if kind == JobEvent.REVIVE],
        units_are_known=not worked or any(each.leases for each in containers.values()),
    )


_Unit = tuple[UnitKind, int]
_Row = tuple[str, int | None, datetime, str]


def _leases(events: Iterable[_Row], containers: dict[int, Container]) -> list[Lease]:
    """Return the leases of these containers, in the order in which they began."""
    by_unit: dict[_Unit, list[Lease]] = defaultdict(list)
    found = []
    for kind, number, at, text in events:
        match = _UNIT.match(text)
        unit = (UnitKind(match[1]), int(match[2])) if match else None
        if kind == UnitEvent.REDO:
            # The text of a plan that is made again names no unit.
            if unit and by_unit[unit]:
                by_unit[unit][-1].outcome = Outcome.BAD
                _put_off_publishing(by_unit, at)
            continue
        if unit is None or number is None:
            continue
        earlier = by_unit[unit]
        if kind == UnitEvent.LEASE:
            lease = Lease(kind=unit[0], index=unit[1], number=number, began_at=at, ended_at=at)
            if earlier:
                lease.after = earlier[-1]
                _end(lease.after, containers, by=at)
            earlier.append(lease)
            found.append(lease)
        elif kind == UnitEvent.FINISH and earlier:
            earlier[-1].outcome, earlier[-1].ended_at = Outcome.DONE, at
    for leases in by_unit.values():
        if leases:
            _end(leases[-1], containers)
    return [lease for lease in found if lease.number in containers]


def _put_off_publishing(by_unit: dict[_Unit, list[Lease]], at: datetime) -> None:
    for lease in by_unit[UnitKind.PUBLISH, 0][-1:]:
        if lease.outcome == Outcome.RUNNING:
            lease.ended_at, lease.outcome = at, Outcome.STOPPED


def _end(lease: Lease, containers: dict[int, Container], *, by: datetime | None = None) -> None:
    """Set the end of a lease that no event ended: that of its container, or the next lease of the unit."""
    container = containers.get(lease.number)
    if lease.outcome != Outcome.RUNNING or container is None:
        return
    until = container.silent_from or container.until
    lease.ended_at = max(lease.began_at, min(until, by) if by else until)
    if not container.is_live:
        is_stopped = container.attempt.state == AttemptState.CANCELLED
        lease.outcome = Outcome.STOPPED if is_stopped else Outcome.LOST
    elif by:
        lease.outcome = Outcome.STOPPED
