"""A backlog on machines whose disks hold fewer sources than the machines have places: nothing may end DEAD.

A simulation with the rules that the containers and the submit tick use: when to reserve, wait or
leave, whether an end counts, the backoff and the limits.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tasks.conf import BridgeSettings
from tasks.container.scratch.rule import Step, next_step
from tasks.lifecycle.reasons import Counts, Reason
from tasks.lifecycle.retry import BudgetUsage, Decision, backoff_s, decide

if TYPE_CHECKING:
    from collections.abc import Iterator

CONF = BridgeSettings()
MIB = 1024**2
GIB = 1024**3
SOURCE_BYTES = int(6.75e9)
"""A lecture of three hours at 5 Mb/s."""
WORK_S = 1.8 * 3600
START_S = 15.0
LOOK_S = 60.0
"""Time between two looks of a waiting container: rarer than in reality, which changes nothing here."""
SYSTEM_BYTES = 20 * GIB


@dataclass(eq=False)
class Machine:
    """A machine with places for containers and one disk."""

    places: int
    disk_bytes: int
    leftover_bytes: int = 0
    """Held by a container that was killed, and removed with it after three hours."""
    working: int = 0
    used_bytes: int = SYSTEM_BYTES

    @property
    def free_bytes(self) -> int:
        return self.disk_bytes - self.used_bytes - self.leftover_bytes


@dataclass(eq=False)
class Job:
    """A job with what its attempts have used up."""

    counted: int = 0
    losses: int = 0
    state: str = "QUEUED"


@dataclass
class Cloud:
    """Machines, a queue, and a clock."""

    machines: list[Machine]
    queue: deque[Job]
    now_s: float = 0
    events: list[tuple[float, int, Iterator[float]]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=itertools.count)

    def start(self, steps: Iterator[float]) -> None:
        """Run the steps of one container or job: each yields the seconds until the next."""
        heapq.heappush(self.events, (self.now_s, next(self.order), steps))

    def fill_places(self) -> None:
        """Place the first jobs of the queue on machines with free places, as a FIFO job queue does."""
        for machine in self.machines:
            while machine.places and self.queue:
                machine.places -= 1
                self.start(self.container(machine, self.queue.popleft()))

    def run(self) -> None:
        """Run until nothing happens any more."""
        self.fill_places()
        while self.events:
            self.now_s, _, steps = heapq.heappop(self.events)
            if (wait_s := next(steps, None)) is not None:
                heapq.heappush(self.events, (self.now_s + wait_s, next(self.order), steps))
            self.fill_places()

    def container(self, machine: Machine, job: Job) -> Iterator[float]:
        """Reserve, wait or leave by the rule, then work."""
        yield START_S
        reserved_bytes = SOURCE_BYTES + CONF.scratch_reserve_mib * MIB
        began_s = self.now_s
        alone_since_s: float | None = None
        while True:
            alone_since_s = None if machine.working else (self.now_s if alone_since_s is None else alone_since_s)
            step = next_step(
                free_bytes=machine.free_bytes,
                needed_bytes=reserved_bytes + CONF.scratch_floor_mib * MIB,
                waited_s=self.now_s - began_s,
                alone_s=None if alone_since_s is None else self.now_s - alone_since_s,
                wait_limit_s=CONF.scratch_wait_s,
                hold_s=CONF.scratch_hold_s,
            )
            if step is not Step.WAIT:
                break
            yield LOOK_S
        if step is Step.RESERVE:
            machine.working += 1
            machine.used_bytes += reserved_bytes
            yield WORK_S
            machine.working -= 1
            machine.used_bytes -= reserved_bytes
            job.state = "SUCCEEDED"
        else:
            self.end(job, Reason.SCRATCH_TOO_SMALL)
        machine.places += 1

    def end(self, job: Job, reason: Reason) -> None:
        """End an attempt, and grant the next one after the backoff, or none."""
        job.counted += reason.counts is Counts.YES
        job.losses += reason.is_loss
        usage = BudgetUsage(counted=job.counted, undecided=0, consecutive_losses=job.losses)
        limits = {"max_attempts": CONF.max_attempts, "max_consecutive_losses": CONF.max_consecutive_losses}
        if decide(usage, **limits) is Decision.GRANT:
            self.start(self.backoff(job))
        else:
            job.state = "DEAD"

    def backoff(self, job: Job) -> Iterator[float]:
        """Put the job into the queue again after its backoff."""
        yield backoff_s(
            failures_in_a_row=job.counted + job.losses,
            first_s=CONF.backoff_first_s,
            cap_s=CONF.backoff_cap_s,
            jitter=0.5,
        )
        self.queue.append(job)


@pytest.mark.parametrize(
    ("machines", "places", "disk_gib"),
    [(2, 64, 200), (8, 16, 200), (16, 8, 60), (1, 64, 40)],
    ids=["2 x 128 vCPUs", "8 x 32 vCPUs", "small disks", "room for one"],
)
def test_no_job_is_dead_when_disks_hold_fewer_sources_than_containers(
    machines: int, places: int, disk_gib: int
) -> None:
    jobs = [Job() for _ in range(500 if machines > 1 else 60)]
    Cloud([Machine(places, disk_gib * GIB) for _ in range(machines)], deque(jobs)).run()
    assert Counter(job.state for job in jobs) == {"SUCCEEDED": len(jobs)}


def test_no_job_is_dead_when_one_machine_is_full_of_leftovers() -> None:
    """The full machine must not draw the queue while the other one works."""
    jobs = [Job() for _ in range(60)]
    full = Machine(64, 200 * GIB, leftover_bytes=180 * GIB)

    def clean_up() -> Iterator[float]:
        yield 3 * 3600
        full.leftover_bytes = 0

    cloud = Cloud([full, Machine(16, 200 * GIB)], deque(jobs))
    cloud.start(clean_up())
    cloud.run()
    assert Counter(job.state for job in jobs) == {"SUCCEEDED": 60}
