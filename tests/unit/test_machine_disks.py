"""A backlog on machines whose disks hold fewer sources than the machines have places: nothing may end DEAD.

A simulation with the rules that the containers and the submit tick use: when to reserve, wait or
leave, whether an end counts, the backoff and the limits.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tasks.conf import BridgeSettings
from tasks.container.scratch.rule import Disk, Step, next_step
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
    held_bytes: int = 0
    waiting_bytes: list[list[int]] = field(default_factory=list)
    """What each waiting container wants, in the order in which they came."""

    def disk(self, me: list[int]) -> Disk:
        """Return the disk as a waiting container sees it."""
        return Disk(
            total_bytes=self.disk_bytes,
            free_bytes=self.disk_bytes - SYSTEM_BYTES - self.leftover_bytes - self.held_bytes,
            floor_bytes=CONF.scratch_floor_mib * MIB,
            held_bytes=self.held_bytes,
            ahead_bytes=[each for (each,) in self.waiting_bytes[: _place(self.waiting_bytes, me)]],
        )


def _place(waiting: list[list[int]], me: list[int]) -> int:
    return next(place for place, each in enumerate(waiting) if each is me)


@dataclass(eq=False)
class Job:
    """A job with what its attempts have used up."""

    source_bytes: int = SOURCE_BYTES
    counted: int = 0
    losses: int = 0
    state: str = "QUEUED"
    ended_s: float = 0
    waited_s: float = 0
    """On machines, in all attempts."""


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
        wanted_bytes = job.source_bytes + CONF.scratch_reserve_mib * MIB
        began_s = self.now_s
        hopeless_since_s: float | None = None
        me = [wanted_bytes]
        machine.waiting_bytes.append(me)
        while True:
            disk = machine.disk(me)
            hopeless_since_s = None if disk.can_fit(wanted_bytes) else (hopeless_since_s or self.now_s)
            step = next_step(
                disk,
                wanted_bytes,
                waited_s=self.now_s - began_s,
                hopeless_s=None if hopeless_since_s is None else self.now_s - hopeless_since_s,
                wait_limit_s=CONF.scratch_wait_s,
                hold_s=CONF.machine_hold_s,
            )
            if step is not Step.WAIT:
                break
            yield LOOK_S
        del machine.waiting_bytes[_place(machine.waiting_bytes, me)]
        job.waited_s += self.now_s - began_s
        if step is Step.RESERVE:
            machine.held_bytes += wanted_bytes
            yield WORK_S
            machine.held_bytes -= wanted_bytes
            job.state, job.ended_s = "SUCCEEDED", self.now_s
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
            job.state, job.ended_s = "DEAD", self.now_s

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


def test_large_source_gets_its_turn_when_small_ones_keep_coming() -> None:
    """Half of the disk is free only if the small ones that come later leave it."""
    small = [Job(source_bytes=4 * GIB) for _ in range(600)]
    large = [Job(source_bytes=90 * GIB) for _ in range(4)]
    jobs = [*small[:60], *large[:2], *small[60:300], *large[2:], *small[300:]]
    Cloud([Machine(40, 200 * GIB) for _ in range(2)], deque(jobs)).run()
    assert Counter(job.state for job in jobs) == {"SUCCEEDED": len(jobs)}
    assert [job.losses for job in large] == [0] * len(large), "it left without its turn"
    last_small_s = max(job.ended_s for job in small)
    assert all(job.ended_s < last_small_s for job in large), "it had to wait until nobody else came"


@pytest.mark.parametrize(
    ("source_gib", "limit_s"),
    [
        pytest.param(300, 0, id="larger than the disk"),
        pytest.param(190, CONF.machine_hold_s, id="larger than what is ever free"),
    ],
)
def test_machines_are_not_held_up_when_a_source_can_never_fit(source_gib: int, limit_s: float) -> None:
    def finished_s(*more: Job) -> float:
        jobs = [Job(source_bytes=4 * GIB) for _ in range(300)]
        Cloud([Machine(40, 200 * GIB) for _ in range(2)], deque([*jobs[:30], *more, *jobs[30:]])).run()
        assert Counter(job.state for job in jobs) == {"SUCCEEDED": len(jobs)}
        return max(job.ended_s for job in jobs)

    oversized = Job(source_bytes=source_gib * GIB)
    assert finished_s(oversized) <= finished_s() + WORK_S / 2
    assert (oversized.state, oversized.counted) == ("DEAD", 0)
    assert oversized.waited_s <= CONF.max_consecutive_losses * limit_s


def test_small_source_gets_its_room_when_one_ahead_can_never_fit() -> None:
    disk = Disk(
        total_bytes=200 * GIB, free_bytes=50 * GIB, floor_bytes=GIB, held_bytes=20 * GIB, ahead_bytes=[90 * GIB]
    )
    assert disk.has_room(4 * GIB)
    assert not replace(disk, held_bytes=60 * GIB).has_room(4 * GIB)


def test_container_leaves_at_once_when_what_it_holds_and_wants_is_more_than_the_disk() -> None:
    disk = Disk(total_bytes=200 * GIB, free_bytes=10 * GIB, floor_bytes=GIB, own_bytes=150 * GIB, held_bytes=40 * GIB)
    now = partial(next_step, waited_s=0, hopeless_s=None, wait_limit_s=CONF.scratch_wait_s, hold_s=CONF.machine_hold_s)
    assert now(disk, 50 * GIB) is Step.LEAVE
    assert now(disk, 45 * GIB) is Step.WAIT
    assert now(disk, 9 * GIB) is Step.RESERVE
