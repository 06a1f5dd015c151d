"""A job whose containers did what the chart of work shows: rows with the times that services would have written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import UnitEvent
from tasks.models import Attempt, Event, Job
from tests.factories import uploaded_video

REQUESTED_AT = datetime(2026, 11, 30, 10, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a moment, in seconds after the request."""
    return REQUESTED_AT + timedelta(seconds=seconds)


@dataclass
class Rows:
    """The rows of one job's work. Times are seconds after the request."""

    job: Job
    events: list[Event] = field(default_factory=list)

    def container(
        self,
        number: int,
        *,
        claimed_s: float | None,
        ended_s: float | None,
        state: str = "SUCCEEDED",
        reason: Reason | str = "",
        helps: int | None = None,
        **columns: object,
    ) -> None:
        """Add an attempt that was submitted 1 s after the request, and started 8 s before its claim."""
        claimed_at = None if claimed_s is None else at(claimed_s)
        values = {
            "created_at": at(1),
            "started_at": claimed_at and claimed_at - timedelta(seconds=8),
            "heartbeat_at": None if claimed_s is None else at(ended_s or claimed_s),
            "instance_type": "c7g.xlarge",
            "availability_zone": "eu-central-1a",
            "purchase": "spot",
            **columns,
        }
        Attempt.objects.create(
            job=self.job,
            number=number,
            helps=helps,
            state=state,
            reason=str(reason),
            reason_message=reason.message if isinstance(reason, Reason) else "",
            counted=False,
            vcpus=2,
            memory_mib=3500,
            timeout_s=3600,
            batch_job_name=f"batchreel-{self.job.pk}-{number}",
            batch_job_id=f"batch-{self.job.pk}-{number}",
            claimed_at=claimed_at,
            ended_at=None if ended_s is None else at(ended_s),
            **values,
        )

    def unit(self, name: str, number: int, began_s: float, done_s: float | None) -> None:
        """Add a lease of a unit such as "video 3"; without `done_s`, it was never finished."""
        text = f"{name} by attempt {number}"
        self._event(UnitEvent.LEASE, began_s, text, number)
        if done_s is not None:
            self._event(UnitEvent.FINISH, done_s, text, number)

    def event(self, kind: str, seconds: float, text: str = "", number: int | None = None) -> None:
        """Add another event of the job."""
        self._event(kind, seconds, text, number)

    def _event(self, kind: str, seconds: float, text: str, number: int | None) -> None:
        self.events.append(
            Event(
                kind=str(kind),
                job_id=self.job.pk,
                video_id=self.job.video_id,
                attempt_number=number,
                text=text,
                created_at=at(seconds),
            )
        )

    def save(self) -> Job:
        """Store the events in the order of their times, as they would have been appended."""
        newest = Attempt.objects.filter(job=self.job).order_by("-number").values("number")[:1]
        Job.objects.filter(pk=self.job.pk).update(fence=newest)
        Event.objects.bulk_create(sorted(self.events, key=lambda event: event.created_at))
        return self.job


def new_rows(
    *, title: str = "Biology 7: enzymes", state: str = "SUCCEEDED", reason: str = "", finished_s: float | None = None
) -> Rows:
    """Return a job without attempts, whose own events of today were removed."""
    video = uploaded_video(title=title)
    ended = {} if finished_s is None else {"finished_at": at(finished_s)}
    Job.objects.filter(video=video).update(
        state=state,
        reason=str(reason),
        created_at=REQUESTED_AT,
        next_attempt_at=None,
        playlist_key="master.m3u8",
        **ended,
    )
    job = Job.objects.get(video=video)
    Event.objects.filter(job_id=job.pk).delete()
    return Rows(job)


def work_with_a_reclaimed_container(*, title: str = "Biology 7: enzymes") -> Job:
    """Return a published job of four containers. AWS took the third one back after 3 min; two units were lost.

    Containers 1 and 4 did these units again.
    """
    rows = new_rows(title=title, finished_s=420)
    rows.container(1, claimed_s=50, ended_s=421)
    rows.container(2, claimed_s=62, ended_s=365, helps=1)
    rows.container(
        3,
        claimed_s=66,
        ended_s=184,
        helps=1,
        state="FAILED",
        reason=Reason.SPOT_INTERRUPTION,
        leaving_at=at(150),
        units_in_progress=["video 4", "video 5"],
    )
    rows.container(4, claimed_s=110, ended_s=372, helps=1)
    rows.unit("plan 0", 1, 50, 72)
    rows.unit("audio 0", 1, 72, 80)
    rows.unit("audio 1", 1, 73, 118)
    rows.unit("video 0", 1, 80, 150)
    rows.unit("video 1", 2, 73, 140)
    rows.unit("video 2", 2, 74, 143)
    rows.unit("video 3", 3, 73, 130)
    rows.unit("video 4", 3, 74, None)
    rows.unit("video 5", 3, 130, None)
    rows.unit("video 6", 4, 112, 180)
    rows.unit("video 7", 4, 113, 186)
    rows.unit("video 8", 1, 118, 190)
    rows.unit("video 9", 2, 140, 212)
    rows.unit("video 10", 2, 143, 215)
    rows.unit("video 11", 1, 150, 222)
    rows.event("attempt.leaving", 150, "i-0abc", 3)
    rows.unit("video 5", 1, 190, 262)
    rows.unit("video 4", 4, 186, 250)
    rows.unit("video 12", 4, 187, 260)
    rows.unit("video 13", 2, 212, 290)
    rows.unit("video 14", 2, 215, 288)
    rows.unit("video 15", 1, 222, 300)
    rows.unit("video 16", 4, 250, 330)
    rows.unit("video 17", 4, 260, 340)
    rows.unit("video 18", 1, 262, 345)
    rows.unit("video 19", 2, 288, 360)
    rows.unit("video 20", 1, 300, 372)
    rows.unit("video 21", 2, 290, 364)
    rows.unit("video 22", 4, 330, 371)
    rows.unit("publish 0", 1, 373, 420)
    return rows.save()


def large_work(*, containers: int, units: int, slots: int = 2) -> Job:
    """Return a published job of many containers and units, one of which was lost."""
    each_s = max(0.5, 20.0 * containers * slots / units) * 3
    rows = new_rows(title=f"{units} units", finished_s=3000)
    free = [(60.0 + 2 * number % 40, number + 1) for number in range(containers) for _ in range(slots)]
    ends: dict[int, float] = {}
    rows.unit("plan 0", 1, 50, 60)
    for index in range(units):
        began_s, number = min(free)
        free.remove((began_s, number))
        done_s = began_s + each_s * (0.8 + 0.4 * (index * 7 % 10) / 10)
        name = f"video {index}" if index % 12 else f"audio {index // 12}"
        rows.unit(name, number, began_s, done_s)
        ends[number] = max(ends.get(number, 0), done_s)
        free.append((done_s, number))
    last_s = max(ends.values())
    for number in range(1, containers + 1):
        rows.container(number, claimed_s=50, ended_s=ends.get(number, last_s), helps=None if number == 1 else 1)
    rows.unit("publish 0", 1, last_s, last_s + 30)
    Attempt.objects.filter(job=rows.job, number=1).update(ended_at=at(last_s + 30))
    Job.objects.filter(pk=rows.job.pk).update(finished_at=at(last_s + 30))
    rows.job.refresh_from_db()
    return rows.save()


def names(leases: Iterable[object]) -> list[str]:
    """Return the names of leases."""
    return [str(lease.name) for lease in leases]  # type: ignore[attr-defined]  # of tasks.selectors.operations.work
