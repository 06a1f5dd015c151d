"""The services, a simulated AWS Batch and its containers, with what any history of them is made of: start, step, beat, tick, converge."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from django.db.models.functions import Now

from tasks.batch.errors import BatchError
from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.states import ACTIVE_JOB_STATES, LIVE_ATTEMPT_STATES, AttemptState
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.schedule.ticks import OBSERVE
from tasks.services.container_api.heartbeat import HeartbeatReply
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.observe import observe
from tasks.services.ticks.reap import reap, reap_batch_jobs
from tasks.services.ticks.rescue import rescue
from tasks.services.ticks.resume import resume_idle
from tasks.services.ticks.submit import submit_due
from tests.db_snapshot import snapshot
from tests.simulation.batch import BatchJob, SimulatedBatch
from tests.simulation.checks import Watcher
from tests.simulation.container import Container
from tests.simulation.virtual_clock import VirtualClock

T = TypeVar("T")

MAX_ATTEMPTS = 3
MAX_LOSSES = 4
MOST_ROUNDS = 60
"""Rounds of all ticks, two minutes apart, in which every job must have come to its end once the faults have stopped."""

SETTINGS = {
    "max_attempts": MAX_ATTEMPTS,
    "max_losses_in_a_row": MAX_LOSSES,
    "missing_answers_limit": 2,
    "submit_burst": 100_000,
    "submit_per_s": 100_000,
}
"""A small budget and few missing_answers, so that their ends are often seen, and no wait for SubmitJob's rate."""


class Bridge:
    """A site without videos at first. What happens to its rows, the services do."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.batch = SimulatedBatch(self.clock)
        self.containers: list[Container] = []
        self.begun: set[str] = set()
        self.numbers = itertools.count()
        newest = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        self.watcher = Watcher(max_attempts=MAX_ATTEMPTS, max_losses=MAX_LOSSES, newest_event=newest)
        self.rows: dict[str, Any] = {}
        for name in ("rescue", OBSERVE.name):
            Tick.objects.create(name=name, continuous_since=Now())

    def promises_hold(self) -> None:
        """Raise AssertionError where a promise is broken."""
        self.rows = self.watcher.check()
        for name, count in Counter(job.name for job in self.batch.jobs.values()).items():
            assert count <= 1 + self.watcher.submitted_again[name], f"{name} was submitted again without a doubt"

    def time_passes(self, seconds: float, ticks_were_away: bool) -> None:
        self.clock.advance(seconds)
        if ticks_were_away:
            Tick.objects.update(continuous_since=Now())
        self.all_beat()

    def upload(self, *, with_signal: bool) -> None:
        video = Video(title="v", source=self.source())
        if with_signal:
            video.save()
        else:
            Video.objects.bulk_create([video])

    def source(self) -> str:
        return f"sources/{next(self.numbers)}.mp4"

    def pick(self, those: Sequence[T] | Any, pick: int) -> Any:
        those = list(those)
        return those[pick % len(those)] if those else None

    def not_over(self) -> list[BatchJob]:
        return [job for job in self.batch.jobs.values() if not job.is_over]

    def waiting(self) -> list[BatchJob]:
        return [job for job in self.not_over() if job.batch_job_id not in self.begun]

    def here(self) -> list[Container]:
        return [each for each in self.containers if not each.is_gone]

    def claimed(self) -> list[Container]:
        return [each for each in self.here() if each.claim is not None]

    def start(self, job: BatchJob) -> None:
        self.begun.add(job.batch_job_id)
        job.status, job.started = BatchStatus.RUNNING, True
        job_id, _, number = job.name.removeprefix("batchreel-").rpartition("-")
        self.containers.append(Container(batch_job=job, job_id=uuid.UUID(job_id), number=int(number)))

    def step(self, container: Container) -> None:
        if not container.is_gone:
            with self.late_writes_change_nothing(container):
                finishes = container.lease
                container.step()
                if finishes:
                    container.lease = None

    def send_heartbeat(self, container: Container) -> None:
        attempt = Attempt.objects.filter(job=container.job_id, number=container.number, claim_id=container.claim_id)
        runs = attempt.filter(state=AttemptState.RUNNING).exists()
        answer = container.send_heartbeat()
        assert answer is None or (answer is HeartbeatReply.ALIVE) == runs
        if answer not in {None, HeartbeatReply.ALIVE}:
            container.leave(0 if answer is HeartbeatReply.DONE else 11)

    def all_beat(self) -> None:
        for container in self.here():
            if not container.cut_off:
                self.send_heartbeat(container)

    @contextmanager
    def late_writes_change_nothing(self, container: Container) -> Iterator[None]:
        before = snapshot() if self.is_superseded(container) else None
        yield
        assert before is None or snapshot() == before, f"{container} is superseded, and wrote"

    def is_superseded(self, container: Container) -> bool:
        attempt = Attempt.objects.filter(job=container.job_id, number=container.number).first()
        if attempt is None:
            return True
        if container.claim is None:
            free = attempt.state in {AttemptState.SUBMITTING, AttemptState.SUBMITTED}
            return not free or attempt.batch_job_id not in {None, container.batch_job.batch_job_id}
        lease = container.lease
        leased_again = lease and not Unit.objects.filter(pk=lease.unit_id, fence=lease.fence, lease_id=lease.lease_id)
        return attempt.state != AttemptState.RUNNING or attempt.claim_id != container.claim_id or bool(leased_again)

    def ticks(self, number: int) -> None:
        """Every tick once, but for the removal of objects. Each ends at the first BatchError, as run_tick has it."""
        with self.healthy_ones_go_on():
            self._ticks(number)

    def _ticks(self, number: int) -> None:
        since = Tick.objects.values_list("continuous_since", flat=True).get(name="rescue")
        assert since is not None
        bodies: list[Callable[[], object]] = [
            lambda: request_missing_jobs(limit=10),
            lambda: resolve_ambiguous(batch=self.batch),
            lambda: observe(batch=self.batch, tick=number),
            lambda: rescue(batch=self.batch, continuous_since=since),
            lambda: reap_batch_jobs(batch=self.batch, limit=50),
        ]
        for body in bodies:
            with suppress(BatchError):
                body()
        assert resume_idle() == 0, "a path of the services left a job to nobody"

    @contextmanager
    def healthy_ones_go_on(self) -> Iterator[None]:
        """Who is heard, or could not be because we were away, keeps attempt and Batch job whatever a tick does; so does who waits."""
        healthy = {pk: job for pk, job in self._awaited() if not job.forgotten}
        healthy.update({each.claim.attempt_id: each.batch_job for each in self._on_heartbeat() if each.claim})
        yield
        states = dict(Attempt.objects.filter(pk__in=healthy).values_list("pk", "state"))
        for pk, job in healthy.items():
            assert states[pk] in LIVE_ATTEMPT_STATES, f"a healthy attempt was ended: {Attempt.objects.get(pk=pk)}"
            assert not job.is_over, f"a healthy container's Batch job was ended: {job}"

    def _awaited(self) -> Iterator[tuple[int, BatchJob]]:
        """Attempts whose Batch job waits for a machine."""
        waiting = Attempt.objects.filter(state=AttemptState.SUBMITTED, batch_job_id__in=list(self.batch.jobs))
        for pk, batch_job_id in waiting.values_list("pk", "batch_job_id"):
            if self.batch.jobs[str(batch_job_id)].status is BatchStatus.RUNNABLE:
                yield pk, self.batch.jobs[str(batch_job_id)]

    def _on_heartbeat(self) -> Iterator[Container]:
        """Containers at work that own their attempt, and whose silence is short, or may be our own."""
        since_s = self.clock.now_s - bridge_settings().missing_heartbeat_s
        tick = Tick.objects.get(name="rescue")
        came = (
            tick.started_at is None
            or tick.started_at.timestamp() > self.clock.now_s - 2 * bridge_settings().rescue_tick_s
        )
        is_watched = came and tick.continuous_since.timestamp() <= since_s
        running = Attempt.objects.filter(state=AttemptState.RUNNING).values_list("claim_id", "heartbeat_at")
        heard = {claim_id for claim_id, at in running if not is_watched or at.timestamp() > since_s}
        for each in self.claimed():
            if each.claim_id in heard and not each.cut_off and not each.batch_job.is_over:
                yield each

    # The end.

    def converge(self) -> None:
        """No more faults. What containers are left go on, and every tick runs."""
        self.batch.submit_fault = ""
        for job in self.batch.jobs.values():
            job.listed = True
        for container in self.containers:
            container.cut_off = False
        for number in range(MOST_ROUNDS):
            if self.is_over():
                reap(batch=self.batch)
                self.promises_hold()
                return
            self.time_passes(seconds=120.0, ticks_were_away=False)
            submit_due(batch=self.batch)
            for job in self.owned_by_attempts():
                self.start(job)
            for container in self.here():
                self.work_to_the_end(container)
            self.ticks(number)
            self.promises_hold()
        assert self.is_over(), f"not over after {MOST_ROUNDS} rounds: {list(Job.objects.values())}"

    def work_to_the_end(self, container: Container) -> None:
        for _ in range(20):
            self.step(container)

    def owned_by_attempts(self) -> list[BatchJob]:
        """Strays never get a machine here, so it is the reap tick that has to end them."""
        live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
        owned = set(live.values_list("batch_job_id", flat=True))
        return [job for job in self.waiting() if job.batch_job_id in owned]

    def is_over(self) -> bool:
        self.promises_hold()
        at_work = [job for job in self.not_over() if not job.forgotten]
        active = [job for job in self.rows["jobs"] if job["state"] in ACTIVE_JOB_STATES]
        return not active and not at_work and not request_missing_jobs(limit=10)
