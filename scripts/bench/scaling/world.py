"""One upload, from the request until all containers have left: the production services on a virtual clock."""

from __future__ import annotations

import heapq
import itertools
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest.mock import patch

from django.conf import settings
from django.db import connection, transaction

from scripts.bench.scaling.actor import TimedContainer
from scripts.bench.scaling.content import PROFILE, Content, Work, source_of
from scripts.bench.scaling.machines import TimedBatch
from tasks import tasks
from tasks.conf import bridge_settings
from tasks.container.units.plan import plan_for
from tasks.lifecycle.states import JobState, UnitKind, UnitState
from tasks.models import Job, Unit, Video
from tasks.services.container_api.claim import Lease
from tasks.wakeup import send_wakeup
from tests.simulation.batch import BatchJob
from tests.simulation.virtual_clock import VirtualClock

_WARM_UP_S = 60.0
"""Ticks run for this long before the upload."""
_WAKEUP_S = 0.2
_LIMIT_S = 12 * 3600.0
_TICKS = {
    "submit_tick_s": tasks.submit_tick,
    "observe_tick_s": tasks.observe_tick,
    "rescue_tick_s": tasks.rescue_tick,
    "reap_tick_s": tasks.reap_tick,
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A video, and what works on it."""

    content: Content
    hours: float
    vcpus: int
    """Of all machines together."""
    is_warm: bool
    settings: dict[str, float] = field(default_factory=dict)
    """Of the bridge, where they differ from the defaults."""
    verify_connections: int = 8
    reclaims_per_h: float = 0.0
    """Of each machine, if it is a Spot machine."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run took, in seconds since the request."""

    first_s: float
    """Until the growing playlist lists the first unit."""
    ready_s: float
    encode_s: float
    """From the end of the plan to the end of the last video or audio unit."""
    containers: int
    container_s: float
    wasted_share: float
    """Share of the slots' seconds that was no CPU second of a unit: waiting, fetching, storing, lost work."""


def run(scenario: Scenario, *, seed: int) -> Outcome:
    """Play one upload and roll back its rows."""
    settings.BATCHREEL = scenario.settings
    bridge_settings.cache_clear()
    with transaction.atomic():
        world = World(scenario, seed=seed)
        outcome = world.play()
        transaction.set_rollback(True)
    connection.run_on_commit = []
    return outcome


class World:
    """Time, ticks, AWS Batch and the containers of one run."""

    def __init__(self, scenario: Scenario, *, seed: int) -> None:
        self.scenario, self.seed = scenario, seed
        self._chance = random.Random(f"{seed} world")  # noqa: S311 - times, not secrets
        self._clock = VirtualClock()
        self._numbers = itertools.count()
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._containers: dict[str, TimedContainer] = {}
        self._cpu_s = 0.0
        self._times_s: dict[str, float] = {}
        self.work = Work(scenario.content, plan_for(source_of(scenario.hours), PROFILE))
        self.batch = TimedBatch(
            self._clock,
            vcpus=scenario.vcpus,
            is_warm=scenario.is_warm,
            reclaims_per_h=scenario.reclaims_per_h,
            seed=seed,
            later=self.later,
            start=self._start,
            kill=self._kill,
        )

    @property
    def now_s(self) -> float:
        return self._clock.now_s

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` after some virtual seconds."""
        heapq.heappush(self._queue, (self.now_s + seconds, next(self._numbers), action))

    def play(self) -> Outcome:
        """Upload, and let time pass until the job is ready and all containers have left."""
        conf = bridge_settings()
        for name, tick in _TICKS.items():
            period_s = getattr(conf, name)
            self._every(period_s, tick, first_s=self._chance.uniform(0, period_s))
        requested_at_s = self.now_s + _WARM_UP_S
        self.later(_WARM_UP_S, self._upload)
        with patch.object(tasks, "aws_batch", lambda: self.batch):
            while not self._is_over():
                at_s, _, action = heapq.heappop(self._queue)
                self._clock.advance(max(0.0, at_s - self.now_s))
                action()
                self._send_wakeups()
                if self.now_s - requested_at_s > _LIMIT_S:
                    message = f"not ready after {_LIMIT_S:.0f} s: {Job.objects.values('state', 'reason_message')}"
                    raise AssertionError(message)
        return self._outcome(requested_at_s)

    def _every(self, period_s: float, tick: Callable[[], object], *, first_s: float) -> None:
        def run_tick() -> None:
            self._every(period_s, tick, first_s=period_s)
            tick()

        self.later(first_s, run_tick)

    def _upload(self) -> None:
        size = self.work.source_bytes
        Video(title="v", source="sources/1.mp4", source_bytes=size).save()

    def _send_wakeups(self) -> None:
        """Send the wake-ups of what was committed: nothing commits in a simulation."""
        if any(function is send_wakeup for _, function, *_ in connection.run_on_commit):
            self.later(_WAKEUP_S, tasks.wake)
        connection.run_on_commit = []

    def _start(self, job: BatchJob) -> None:
        job_id, _, number = job.name.removeprefix("batchreel-").rpartition("-")
        self._containers[job.batch_job_id] = TimedContainer(self, job, job_id=uuid.UUID(job_id), number=int(number))

    def _kill(self, job: BatchJob) -> None:
        if container := self._containers.get(job.batch_job_id):
            container.kill()

    def on_finished(self, lease: Lease, cpu_s: float) -> None:
        """Note what a container has finished."""
        self._cpu_s += cpu_s
        if lease.kind is UnitKind.PLAN:
            self._times_s["planned"] = self.now_s
        elif lease.kind is UnitKind.PUBLISH:
            self._times_s["ready"] = self.now_s
        else:
            self._times_s["encoded"] = self.now_s
            if "first" not in self._times_s and self._is_listed():
                self._times_s["first"] = self.now_s

    def _is_listed(self) -> bool:
        """Return whether the first unit of each track is finished, so that the growing playlist lists them."""
        first = Unit.objects.filter(index=0, kind__in=[UnitKind.AUDIO, UnitKind.VIDEO])
        return not first.exclude(state=UnitState.DONE).exists()

    def _is_over(self) -> bool:
        if "ready" not in self._times_s:
            return False
        return all(job.is_over for job in self.batch.jobs.values())

    def _outcome(self, requested_at_s: float) -> Outcome:
        if (state := Job.objects.get().state) != JobState.SUCCEEDED:
            raise AssertionError(state)
        container_s = sum((each.ended_at_s or self.now_s) - each.started_at_s for each in self._containers.values())
        conf = bridge_settings()
        slots = conf.helper_rule.slots
        return Outcome(
            first_s=self._times_s["first"] - requested_at_s,
            ready_s=self._times_s["ready"] - requested_at_s,
            encode_s=self._times_s["encoded"] - self._times_s["planned"],
            containers=len(self._containers),
            container_s=container_s,
            wasted_share=1 - self._cpu_s / (slots * container_s),
        )
