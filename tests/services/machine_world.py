"""A world for the services: AWS Batch and containers, simulated, with the faults of both.

What containers do to rows, they do through the services. The world itself writes no state.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection, models

from tasks.batch.errors import BatchDoubtfulError, BatchError, BatchRefusedError, BatchThrottledError
from tasks.batch.port import Found, Submission
from tasks.lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from tasks.lifecycle.observation import FINAL_STATUSES, BatchStatus, Observation
from tasks.lifecycle.states import UnitKind
from tasks.models import Attempt, Job, Tick, Unit, Video
from tasks.services.claim import (
    Claim,
    JobAlreadyDoneError,
    Lease,
    NotClaimableError,
    NothingToClaim,
    claim_attempt,
    claim_unit,
)
from tasks.services.finish import PlannedUnit, finish_attempt, finish_plan, finish_unit
from tasks.services.heartbeat import Beat, beat
from tasks.services.preview import publish_preview
from tasks.services.publish import publish

ESSENTIAL = "Essential container in task exited"


_CERTAIN = {"refused": BatchRefusedError, "throttled": BatchThrottledError}
"""Faults after which SubmitJob certainly did not take effect."""


@dataclass(kw_only=True)
class BatchJob:
    """One Batch job, as AWS would know it."""

    batch_job_id: str
    name: str
    created_at_ms: float
    status: BatchStatus = BatchStatus.RUNNABLE
    status_reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    started: bool = False
    terminated: bool = False
    listed: bool = True
    """ListJobs may not show it yet."""
    forgotten: bool = False
    """DescribeJobs does not know it, or not any more."""

    @property
    def is_over(self) -> bool:
        return self.status in FINAL_STATUSES

    def end(self, *, status: BatchStatus = BatchStatus.FAILED, words: str, exit_code: int | None = None) -> None:
        """Over, unless it was before."""
        if not self.is_over:
            self.status, self.status_reason, self.exit_code = status, words, exit_code


@dataclass
class SimulatedBatch:
    """A BatchPort with a memory. `submit_fault` and `read_fault` hold until they are changed."""

    submit_fault: str = ""
    read_fault: bool = False
    terminate_fault: bool = False
    jobs: dict[str, BatchJob] = field(default_factory=dict)

    def submit(self, submission: Submission) -> str:
        if self.submit_fault in _CERTAIN:
            raise _CERTAIN[self.submit_fault](self.submit_fault)
        if self.submit_fault == "lost before":
            raise BatchDoubtfulError(self.submit_fault)
        batch_job_id = f"batch-{len(self.jobs)}"
        self.jobs[batch_job_id] = BatchJob(
            batch_job_id=batch_job_id, name=submission.name, created_at_ms=time.time() * 1000
        )
        if self.submit_fault == "lost after, not listed":
            self.jobs[batch_job_id].listed = False
        if self.submit_fault.startswith("lost after"):
            raise BatchDoubtfulError(self.submit_fault)
        return batch_job_id

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        self._read()
        return [self._observation(each) for each in batch_job_ids]

    def _observation(self, batch_job_id: str) -> Observation:
        job = self.jobs.get(batch_job_id)
        if job is None or job.forgotten:
            return Observation(batch_job_id=batch_job_id, status=BatchStatus.ABSENT)
        return Observation(
            batch_job_id=batch_job_id,
            status=job.status,
            status_reason=job.status_reason,
            container_reason=job.container_reason,
            exit_code=job.exit_code,
            started=job.started,
            terminated=job.terminated,
        )

    def find(self, *, name: str) -> list[Found]:
        self._read()
        return [self._found(each) for each in self.jobs.values() if each.name == name and each.listed]

    def list_active(self, *, prefix: str) -> list[Found]:
        self._read()
        active = [each for each in self.jobs.values() if each.listed and not each.is_over and not each.forgotten]
        return [self._found(each) for each in active if each.name.startswith(prefix)]

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        if self.terminate_fault:
            raise BatchThrottledError(reason)
        job = self.jobs.get(batch_job_id)
        if job is not None and not job.is_over:
            job.terminated = True
            job.end(words=reason, exit_code=137 if job.started else None)

    def _read(self) -> None:
        if self.read_fault:
            raise BatchError(self)

    def _found(self, job: BatchJob) -> Found:
        return Found(
            batch_job_id=job.batch_job_id, name=job.name, status=job.status, created_at_ms=int(job.created_at_ms)
        )


@dataclass(kw_only=True)
class Container:
    """The program that Batch runs, step by step. It may go on long after everybody else has given it up."""

    batch_job: BatchJob
    job_id: uuid.UUID
    number: int
    claim_id: uuid.UUID = field(default_factory=uuid.uuid4)
    claim: Claim | None = None
    lease: Lease | None = None
    beats: int = 0
    cut_off: bool = False
    """Its heartbeats do not arrive."""
    is_gone: bool = False

    def step(self) -> None:
        """Do the next thing: claim the attempt, claim a unit, or finish the one that it holds. Leave where the answer says so."""
        try:
            if self.claim is None:
                self.claim = claim_attempt(
                    job_id=self.job_id,
                    number=self.number,
                    batch_job_id=self.batch_job.batch_job_id,
                    claim_id=self.claim_id,
                )
            elif self.lease is None:
                self._claim_unit(self.claim)
            else:
                self.finish()
        except JobAlreadyDoneError:
            self.leave(0)
        except (AttemptCancelledError, FencedError, NotClaimableError, NotFoundError):
            self.leave(11)

    def _claim_unit(self, claim: Claim) -> None:
        taken = claim_unit(claim, lease_id=uuid.uuid4().hex[:12])
        if isinstance(taken, Lease):
            self.lease = taken
        elif taken is NothingToClaim.JOB_DONE or finish_attempt(claim):
            self.leave(0)

    def finish(self) -> None:
        """Finish the unit that it holds. The lease is kept, so that the same can be said again."""
        claim, lease = self.claim, self.lease
        assert claim is not None
        assert lease is not None
        if lease.kind is UnitKind.PLAN:
            finish_plan(claim, lease, plan={"by": claim.number}, units=_UNITS)
        elif lease.kind is UnitKind.PUBLISH:
            publish(claim, lease, manifest={"by": claim.number}, manifest_key=f"{lease.key_prefix}/m", poster_key="")
        elif lease.kind is UnitKind.REMUX:
            publish_preview(claim, lease, manifest={"by": claim.number}, manifest_key=f"{lease.key_prefix}/m")
        else:
            finish_unit(claim, lease, output={"by": claim.number})

    def beat(self) -> Beat | None:
        """One heartbeat, with progress. None where there is nothing to beat for."""
        if self.claim is None or self.is_gone:
            return None
        self.beats += 1
        return beat(self.claim, stage="encode", count=self.beats, encoded_frames=self.beats)

    def leave(self, exit_code: int) -> None:
        """The process ends; Batch learns of it."""
        self.is_gone = True
        status = BatchStatus.FAILED if exit_code else BatchStatus.SUCCEEDED
        self.batch_job.end(status=status, words=ESSENTIAL, exit_code=exit_code)


_UNITS = [
    PlannedUnit(kind=kind, index=index, first_frame=0, end_frame=1, weight_frames=1)
    for kind, index in [(UnitKind.REMUX, 0), (UnitKind.AUDIO, 0), (UnitKind.VIDEO, 0)]
]


def _shift(model: type[models.Model]) -> str:
    times = [each.column for each in model._meta.concrete_fields if isinstance(each, models.DateTimeField)]
    moved = ", ".join(f'"{column}" = "{column}" - span' for column in times)
    return f"UPDATE {model._meta.db_table} SET {moved}"  # noqa: S608 - our own columns


_SHIFTS = "; ".join(_shift(model) for model in (Video, Job, Attempt, Unit, Tick))


def pass_time(batch: SimulatedBatch, *, seconds: float) -> None:
    """Let time pass: the database's clock can't be set, so every time that it is compared with moves into the past."""
    with connection.cursor() as cursor:
        cursor.execute(_SHIFTS.replace("span", f"interval '{seconds} seconds'"))
    for job in batch.jobs.values():
        job.created_at_ms -= seconds * 1000


def restart_ids() -> None:
    """Give attempts the same ids in each history: whose turn it is to be asked about follows from them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('batchreel_attempt', 'id'), 1, false)")
