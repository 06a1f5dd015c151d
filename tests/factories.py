"""Factories for rows in a given state, made by the services if a service leads to it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.db.models import F
from django.test import override_settings

from tasks.batch.errors import BatchError, BatchRejectedError
from tasks.batch.port import TERMINATE_LIMIT_IDS, ListedJob, ListedPage, Submission
from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.states import ACTIVE_JOB_STATES, AttemptState, UnitKind
from tasks.models import Attempt, Edition, Job, Tick, Unit, Video
from tasks.services.container_api.claim import Claim, Lease, claim_attempt, lease_unit
from tasks.services.container_api.finish import PlannedUnit, finish_plan, finish_unit
from tasks.services.container_api.publish import publish
from tasks.services.ticks.submit import submit_due


@dataclass
class ScriptedBatch:
    """BatchPort with scripted responses, for those that a healthy endpoint never gives.

    It records all calls.
    """

    submit_error: BatchError | None = None
    describe_error: BatchError | None = None
    list_error: BatchError | None = None
    terminate_error: BatchError | None = None
    page_jobs: int = 1000
    is_old: bool = False
    """Whether it has no TerminateJobs."""
    refused: dict[str, BatchError] = field(default_factory=dict)
    """Errors of terminating single Batch jobs."""
    bulk_calls: list[list[str]] = field(default_factory=list)
    observations: dict[str, Observation] = field(default_factory=dict)
    found: list[ListedJob] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    vcpus: int | None = None
    queue_reads: int = 0

    def submit(self, submission: Submission) -> str:
        self.submissions.append(submission)
        if self.submit_error:
            raise self.submit_error
        return f"batch-{submission.name}"

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        self.described += batch_job_ids
        if self.describe_error:
            raise self.describe_error
        running = BatchStatus.RUNNING
        return [
            self.observations.get(i) or Observation(batch_job_id=i, status=running, started=True) for i in batch_job_ids
        ]

    def find(self, *, name: str) -> list[ListedJob]:
        return [each for each in self.found if each.name == name]

    def list_active(self, *, position: str) -> ListedPage:
        self.listed.append(position)
        if self.list_error:
            raise self.list_error
        first = int(position or 0)
        after = first + self.page_jobs
        next_position = str(after) if after < len(self.found) else ""
        return ListedPage(jobs=self.found[first:after], next_position=next_position)

    def queue_vcpus(self, queue: str) -> int | None:
        self.queue_reads += 1
        if self.describe_error:
            raise self.describe_error
        return self.vcpus

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        assert reason
        self.terminated.append(batch_job_id)
        if error := self.terminate_error or self.refused.get(batch_job_id):
            raise error

    def terminate_many(self, batch_job_ids: Sequence[str], *, reason: str) -> dict[str, BatchError]:
        assert reason
        assert len(batch_job_ids) <= TERMINATE_LIMIT_IDS
        if self.is_old or isinstance(self.terminate_error, BatchRejectedError):
            message = "no TerminateJobs"
            raise BatchRejectedError(message)
        self.bulk_calls.append(list(batch_job_ids))
        self.terminated += batch_job_ids
        if self.terminate_error:
            raise self.terminate_error
        return {each: error for each, error in self.refused.items() if each in batch_job_ids}

    def set_observation(self, attempt: Attempt, status: BatchStatus, **fields: object) -> None:
        """Set the response that DescribeJobs gives for the attempt's Batch job."""
        batch_job_id = str(attempt.batch_job_id)
        self.observations[batch_job_id] = Observation(batch_job_id=batch_job_id, status=status, **fields)  # type: ignore[arg-type] # chosen by the test


def uploaded_video(
    *, title: str = "Lecture 1", content: bytes = b"not decoded by these tests", source_bytes: int | None = None
) -> Video:
    """Save a video with a complete source; the receiver requests its job."""
    video = Video(title=title, source_bytes=source_bytes)
    video.source.save("lecture.mp4", ContentFile(content))
    return video


def lecturer(name: str = "lecturer", **fields: Any) -> Any:
    """Return a user who may upload, and has no other permission."""
    user = get_user_model().objects.create_user(name, **fields)
    user.user_permissions.add(Permission.objects.get(codename="add_video"))
    return user


def submitted_attempt(video: Video | None = None, *, batch: ScriptedBatch | None = None) -> Attempt:
    """Submit due jobs, at least that of the video. Return its attempt, which has a Batch job."""
    video = video or uploaded_video()
    batch = batch or ScriptedBatch()
    # A whole run also looks for jobs that need help, which takes longer than all the rest.
    with override_settings(BATCHREEL={**settings.BATCHREEL, "submit_limit": 1}):
        submit_due(batch=batch)
    # Others were due before it.
    if not _is_submitted(video):
        submit_due(batch=batch)
    return newest_attempt(video)


def _is_submitted(video: Video) -> bool:
    live = Attempt.objects.filter(job__video=video, job__state__in=ACTIVE_JOB_STATES)
    return live.filter(state=AttemptState.SUBMITTED).exists()


def newest_attempt(video: Video) -> Attempt:
    return Attempt.objects.filter(job__video=video).select_related("job").latest("pk")


def claimed(attempt: Attempt, *, machine_id: str = "") -> Claim:
    """Claim the attempt as a container of a machine does; it is RUNNING afterwards."""
    return claim_attempt(
        job_id=attempt.job_id,
        number=attempt.number,
        batch_job_id=attempt.batch_job_id,
        claim_id=uuid.uuid4(),
        machine_id=machine_id,
    )


def leased(claim: Claim) -> Lease:
    lease = lease_unit(claim, lease_id=uuid.uuid4().hex[:12])
    assert isinstance(lease, Lease), lease
    return lease


def planned(
    claim: Claim,
    *,
    video_units: int = 2,
    audio: bool = True,
    plays_directly: bool = False,
    encode_cost_s: float = 100.0,
) -> None:
    """Finish the plan unit of the claim's job."""
    lease = leased(claim)
    assert lease.kind is UnitKind.PLAN
    units = [
        PlannedUnit(kind=UnitKind.VIDEO, index=i, first_frame=i * 60, end_frame=i * 60 + 60, weight_frames=60)
        for i in range(video_units)
    ]
    if audio:
        units.append(PlannedUnit(kind=UnitKind.AUDIO, index=0, first_frame=0, end_frame=120, weight_frames=6))
    finish_plan(
        claim,
        lease,
        plan={"made": "by a test"},
        units=units,
        plays_directly=plays_directly,
        encode_cost_s=encode_cost_s,
    )


def finished_media(claim: Claim) -> None:
    """Finish all media units of the claim's job."""
    job_units = Unit.objects.filter(job_id=claim.job_id, kind__in=["video", "audio"])
    while job_units.exclude(state="DONE").exists():
        lease = leased(claim)
        finish_unit(claim, lease, output={"folder": lease.key_prefix, "media": {}})


def published(
    video: Video | None = None, *, warnings: Sequence[dict[str, str]] = (), chapters: Sequence[dict[str, Any]] = ()
) -> Video:
    """Return a video whose job has succeeded and published."""
    video = video or uploaded_video()
    claim = claimed(submitted_attempt(video))
    planned(claim)
    finished_media(claim)
    lease = leased(claim)
    key = f"{lease.key_prefix}/master.m3u8"
    publish(claim, lease, playlist_key=key, poster_key="", duration_s=4.0, warnings=warnings, chapters=chapters)
    video.refresh_from_db()
    return video


def age(rows: type[Job] | type[Attempt] | type[Tick] | type[Edition], *columns: str, seconds: float) -> None:
    """Move times of all rows into the past.

    The database's clock cannot be set, so the times that are compared with it move instead.
    """
    rows.objects.update(**{column: F(column) - timedelta(seconds=seconds) for column in columns})


def helper_of(claim: Claim) -> Attempt:
    """Create a second attempt of the claim's job, for a container that helps with it."""
    Job.objects.filter(pk=claim.job_id).update(fence=claim.number + 1)
    return Attempt.objects.create(
        job_id=claim.job_id,
        number=claim.number + 1,
        helps=claim.number,
        state="SUBMITTED",
        batch_job_name=f"helper-{claim.job_id}",
        batch_job_id=f"batch-helper-{claim.job_id}",
        vcpus=1,
        memory_mib=1024,
        timeout_s=3600,
    )
