"""Simulated container program. It changes rows only through the services."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from tasks.lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.states import UnitKind
from tasks.services.container_api.claim import (
    Claim,
    JobAlreadyDoneError,
    Lease,
    NotClaimableError,
    NothingToLease,
    claim_attempt,
    lease_unit,
)
from tasks.services.container_api.finish import PlannedUnit, finish_attempt, finish_plan, finish_unit
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from tasks.services.container_api.publish import publish
from tests.simulation.batch import ESSENTIAL, BatchJob


@dataclass(kw_only=True)
class Container:
    """The program that Batch runs, step by step. It may keep running long after it was replaced."""

    batch_job: BatchJob
    job_id: uuid.UUID
    number: int
    claim_id: uuid.UUID = field(default_factory=uuid.uuid4)
    claim: Claim | None = None
    lease: Lease | None = None
    beats: int = 0
    cut_off: bool = False
    """Whether its heartbeats are lost."""
    is_gone: bool = False

    def step(self) -> None:
        """Claim the attempt, lease a unit, or finish the held unit. Exit if the response requires it."""
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
        claimed = lease_unit(claim, lease_id=uuid.uuid4().hex[:12])
        if isinstance(claimed, Lease):
            self.lease = claimed
        elif claimed is NothingToLease.PLAN_FIRST:
            pass  # It asks again in its next step.
        elif claimed is NothingToLease.JOB_DONE or finish_attempt(claim):
            self.leave(0)

    def finish(self) -> None:
        """Finish the held unit. The lease is kept, so that a caller can repeat the call."""
        claim, lease = self.claim, self.lease
        assert claim is not None
        assert lease is not None
        if lease.kind is UnitKind.PLAN:
            finish_plan(
                claim, lease, plan={"by": claim.number}, units=_UNITS, plays_directly=False, encode_cost_s=100.0
            )
        elif lease.kind is UnitKind.PUBLISH:
            publish(claim, lease, playlist_key=f"{lease.key_prefix}/m{claim.number}", poster_key="", duration_s=4.0)
        else:
            finish_unit(claim, lease, output={"by": claim.number})

    def send_heartbeat(self) -> HeartbeatReply | None:
        """Send one heartbeat, with progress. None before the claim and after the exit."""
        if self.claim is None or self.is_gone:
            return None
        self.beats += 1
        return send_heartbeat(self.claim, stage="encode", count=self.beats, encoded_frames=self.beats)

    def leave(self, exit_code: int) -> None:
        """Exit, and let Batch record the exit code."""
        self.is_gone = True
        status = BatchStatus.FAILED if exit_code else BatchStatus.SUCCEEDED
        self.batch_job.end(status=status, reason=ESSENTIAL, exit_code=exit_code)


_UNITS = [
    PlannedUnit(kind=kind, index=index, first_frame=0, end_frame=1, weight_frames=1)
    for kind, index in [(UnitKind.AUDIO, 0), (UnitKind.VIDEO, 0), (UnitKind.VIDEO, 1)]
]
