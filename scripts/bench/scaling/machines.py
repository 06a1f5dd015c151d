"""AWS Batch with machines that take time to start, and that EC2 may take back.

Times are drawn by seed from what others have measured; sources are in docs/performance.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.batch.port import Submission
from tasks.lifecycle.observation import BatchStatus
from tests.simulation.batch import BatchJob, SimulatedBatch
from tests.simulation.virtual_clock import VirtualClock

MACHINE_VCPUS = 16
_COLD_S = (90.0, 240.0, 134.0)
"""Least, greatest and most frequent time from SubmitJob to a container on a machine that has to start first."""
_WARM_S = (1.0, 5.0)
"""Least and greatest time until a container runs on a machine that has the image."""

Later = Callable[[float, Callable[[], None]], None]


@dataclass(eq=False)
class Machine:
    """One EC2 machine."""

    number: int
    ready_at_s: float
    free_vcpus: int = MACHINE_VCPUS
    jobs: list[BatchJob] = field(default_factory=list)
    is_gone: bool = False


class TimedBatch(SimulatedBatch):
    """Starts containers on machines in the order of SubmitJob, up to `vcpus` in all."""

    def __init__(
        self,
        clock: VirtualClock,
        *,
        vcpus: int,
        is_warm: bool,
        reclaims_per_h: float,
        seed: int,
        later: Later,
        start: Callable[[BatchJob], None],
        kill: Callable[[BatchJob], None],
    ) -> None:
        super().__init__(clock, vcpus=vcpus)
        self._seed, self._later, self._start, self._kill = seed, later, start, kill
        self._reclaims_per_h = reclaims_per_h
        self._sizes: dict[str, int] = {}
        self._waiting: list[BatchJob] = []
        self.machines: list[Machine] = []
        if is_warm:
            self.machines = [Machine(number, clock.now_s) for number in range(-(-vcpus // MACHINE_VCPUS))]

    def submit(self, submission: Submission) -> str:
        """Submit, and give the Batch job a machine if there is room."""
        batch_job_id = super().submit(submission)
        job = self.jobs[batch_job_id]
        self._sizes[batch_job_id] = submission.vcpus
        self._waiting.append(job)
        self._place()
        return batch_job_id

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """End the Batch job and its container."""
        super().terminate(batch_job_id, reason=reason)
        self._kill(self.jobs[batch_job_id])
        self.release(self.jobs[batch_job_id])

    def release(self, job: BatchJob) -> None:
        """Free the room of a Batch job that has ended."""
        for machine in self.machines:
            if job in machine.jobs:
                machine.jobs.remove(job)
                machine.free_vcpus += self._sizes[job.batch_job_id]
        self._place()

    def _place(self) -> None:
        for job in list(self._waiting):
            if job.is_over:
                self._waiting.remove(job)
            elif machine := self._machine_for(self._sizes[job.batch_job_id]):
                self._waiting.remove(job)
                machine.jobs.append(job)
                machine.free_vcpus -= self._sizes[job.batch_job_id]
                wait_s = max(0.0, machine.ready_at_s - self.clock.now_s)
                self._later(wait_s + self._random(job.name).uniform(*_WARM_S), lambda job=job: self._run(job))

    def _machine_for(self, vcpus: int) -> Machine | None:
        live = [each for each in self.machines if not each.is_gone]
        for machine in live:
            if machine.free_vcpus >= vcpus:
                return machine
        if MACHINE_VCPUS * len(live) >= (self.vcpus or 0):
            return None
        number = len(self.machines)
        chance = self._random(f"machine {number}")
        machine = Machine(number, self.clock.now_s + chance.triangular(*_COLD_S))
        self.machines.append(machine)
        if self._reclaims_per_h:
            lives_s = chance.expovariate(self._reclaims_per_h / 3600)
            self._later(machine.ready_at_s - self.clock.now_s + lives_s, lambda: self._reclaim(machine))
        return machine

    def _run(self, job: BatchJob) -> None:
        if not job.is_over:
            job.status, job.started = BatchStatus.RUNNING, True
            self._start(job)

    def _reclaim(self, machine: Machine) -> None:
        machine.is_gone = True
        for job in machine.jobs:
            self._kill(job)
            job.end(reason=f"Host EC2 (instance i-{machine.number}) terminated.")
        machine.jobs.clear()
        self._place()

    def _random(self, name: str) -> random.Random:
        return random.Random(f"{self._seed} {name.rpartition('-')[2]}")  # noqa: S311 - times, not secrets
