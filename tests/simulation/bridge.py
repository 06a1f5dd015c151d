"""The services with a simulated AWS Batch and its containers, and the elements of any history.

These are: start, step, heartbeat, ticks and converge.
"""

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
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import ACTIVE_JOB_STATES, LIVE_ATTEMPT_STATES, AttemptState
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.schedule.ticks import OBSERVE
from tasks.services.container_api.heartbeat import HeartbeatReply
from tasks.services.removal.purge import purge
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
MAX_ROUNDS = 60
"""Maximum number of rounds of all ticks, two minutes apart, until every job has ended without faults."""

SETTINGS = {
    "max_attempts": MAX_ATTEMPTS,
    "max_consecutive_losses": MAX_LOSSES,
    "missing_responses_limit": 2,
    "max_in_batch": 12,
    "database_retry_s": 900,
    "event_retention_s": 600,
    "vcpus": 1,
    "max_helpers": 3,
    "helper_target_s": 1,
    "helper_min_work_s": 1,
}
"""Low limits, so that they are often reached."""


class Bridge:
    """A site that starts without videos. Only the services change its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.batch = SimulatedBatch(self.clock)
        self.containers: list[Container] = []
        self.started_batch_jobs: set[str] = set()
        self.numbers = itertools.count()
        newest = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        self.watcher = Watcher(max_attempts=MAX_ATTEMPTS, max_losses=MAX_LOSSES, newest_event=newest)
        self.rows: dict[str, Any] = {}
        for name in ("rescue", OBSERVE.name):
            Tick.objects.create(name=name, continuous_since=Now())

    def promises_hold(self) -> None:
        """Raise AssertionError if a promise is broken."""
        self.rows = self.watcher.check()
        for name, count in Counter(job.name for job in self.batch.jobs.values()).items():
            assert count <= 1 + self.watcher.submitted_again[name], (
                f"{name} was submitted again without being ambiguous"
            )

    def time_passes(self, seconds: float, ticks_paused: bool) -> None:
        self.clock.advance(seconds)
        if ticks_paused:
            Tick.objects.update(continuous_since=Now())
        self.send_all_heartbeats()

    def upload(self, *, with_signal: bool) -> None:
        video = Video(title="v", source=self.source())
        if with_signal:
            video.save()
        else:
            Video.objects.bulk_create([video])

    def source(self) -> str:
        return f"sources/{next(self.numbers)}.mp4"

    def pick(self, candidates: Sequence[T] | Any, pick: int) -> Any:
        candidates = list(candidates)
        return candidates[pick % len(candidates)] if candidates else None

    def unfinished_batch_jobs(self) -> list[BatchJob]:
        return [job for job in self.batch.jobs.values() if not job.is_over]

    def unstarted_batch_jobs(self) -> list[BatchJob]:
        return [job for job in self.unfinished_batch_jobs() if job.batch_job_id not in self.started_batch_jobs]

    def live_containers(self) -> list[Container]:
        return [each for each in self.containers if not each.is_gone]

    def claimed_containers(self) -> list[Container]:
        return [each for each in self.live_containers() if each.claim is not None]

    def start(self, job: BatchJob) -> None:
        self.started_batch_jobs.add(job.batch_job_id)
        job.status, job.started = BatchStatus.RUNNING, True
        job_id, _, number = job.name.removeprefix("batchreel-").rpartition("-")
        self.containers.append(Container(batch_job=job, job_id=uuid.UUID(job_id), number=int(number)))

    def step(self, container: Container) -> None:
        if not container.is_gone:
            with self.late_writes_change_nothing(container):
                finished_lease = container.lease
                container.step()
                if finished_lease:
                    container.lease = None

    def send_heartbeat(self, container: Container) -> None:
        attempt = Attempt.objects.filter(job=container.job_id, number=container.number, claim_id=container.claim_id)
        runs = attempt.filter(state=AttemptState.RUNNING).exists()
        response = container.send_heartbeat()
        assert response is None or (response is HeartbeatReply.ALIVE) == runs
        if response not in {None, HeartbeatReply.ALIVE}:
            container.leave(0 if response is HeartbeatReply.DONE else 11)

    def send_all_heartbeats(self) -> None:
        for container in self.live_containers():
            if not container.cut_off:
                self.send_heartbeat(container)

    @contextmanager
    def late_writes_change_nothing(self, container: Container) -> Iterator[None]:
        before = snapshot() if self.is_superseded(container) else None
        yield
        assert before is None or snapshot() == before, f"{container} is superseded, but wrote"

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
        """Run every tick once, except for the removal of objects.

        Each ends at the first BatchError, as in run_tick.
        """
        with self.healthy_containers_survive():
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
        assert resume_idle() == 0, "a code path of the services left a job without a live attempt"

    @contextmanager
    def healthy_containers_survive(self) -> Iterator[None]:
        """Assert that no tick ends the attempt or the Batch job of a healthy container.

        Healthy are containers with a recent heartbeat, or whose silence may be our own outage, and
        Batch jobs that wait for a host.
        """
        healthy = {pk: job for pk, job in self._waiting_for_a_host() if not job.forgotten}
        healthy.update({each.claim.attempt_id: each.batch_job for each in self._alive_by_heartbeat() if each.claim})
        yield
        # A helper that waits for a machine may become superfluous.
        superfluous = Attempt.objects.filter(reason__in=[Reason.ROUND_ENDED, Reason.NOT_NEEDED], claimed_at=None)
        states = dict(Attempt.objects.filter(pk__in=healthy).values_list("pk", "state"))
        for pk in set(superfluous.values_list("pk", flat=True)) & set(healthy):
            del healthy[pk]
        for pk, job in healthy.items():
            assert states[pk] in LIVE_ATTEMPT_STATES, f"a healthy attempt was ended: {Attempt.objects.get(pk=pk)}"
            assert not job.is_over, f"a healthy container's Batch job was ended: {job}"

    def _waiting_for_a_host(self) -> Iterator[tuple[int, BatchJob]]:
        """Yield attempts whose Batch job waits for a host."""
        waiting = Attempt.objects.filter(state=AttemptState.SUBMITTED, batch_job_id__in=list(self.batch.jobs))
        for pk, batch_job_id in waiting.values_list("pk", "batch_job_id"):
            if self.batch.jobs[str(batch_job_id)].status is BatchStatus.RUNNABLE:
                yield pk, self.batch.jobs[str(batch_job_id)]

    def _alive_by_heartbeat(self) -> Iterator[Container]:
        """Yield running containers that own their attempt and are not proven silent."""
        since_s = self.clock.now_s - bridge_settings().missing_heartbeat_s
        tick = Tick.objects.get(name="rescue")
        tick_is_recent = (
            tick.started_at is None
            or tick.started_at.timestamp() > self.clock.now_s - 2 * bridge_settings().rescue_tick_s
        )
        is_watched = tick_is_recent and tick.continuous_since.timestamp() <= since_s
        running = Attempt.objects.filter(state=AttemptState.RUNNING).values_list("claim_id", "heartbeat_at")
        alive = {claim_id for claim_id, at in running if not is_watched or at.timestamp() > since_s}
        for each in self.claimed_containers():
            if each.claim_id in alive and not each.cut_off and not each.batch_job.is_over:
                yield each

    # Convergence.

    def converge(self) -> None:
        """Run all remaining containers and all ticks without faults until every job has ended."""
        self.batch.submit_fault = ""
        for job in self.batch.jobs.values():
            job.listed = True
        for container in self.containers:
            container.cut_off = False
        for number in range(MAX_ROUNDS):
            if self.is_over():
                reap(batch=self.batch)
                purge()
                self.promises_hold()
                return
            self.time_passes(seconds=120.0, ticks_paused=False)
            submit_due(batch=self.batch)
            for job in self.owned_by_attempts():
                self.start(job)
            for container in self.live_containers():
                self.run_to_the_end(container)
            self.ticks(number)
            self.promises_hold()
        assert self.is_over(), f"jobs are still active after {MAX_ROUNDS} rounds: {list(Job.objects.values())}"

    def run_to_the_end(self, container: Container) -> None:
        for _ in range(20):
            self.step(container)

    def owned_by_attempts(self) -> list[BatchJob]:
        """Return the unstarted Batch jobs that an attempt owns.

        Orphans never get a host here, so the reap tick has to end them.
        """
        live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
        owned = set(live.values_list("batch_job_id", flat=True))
        return [job for job in self.unstarted_batch_jobs() if job.batch_job_id in owned]

    def is_over(self) -> bool:
        self.promises_hold()
        unfinished = [job for job in self.unfinished_batch_jobs() if not job.forgotten]
        active = [job for job in self.rows["jobs"] if job["state"] in ACTIVE_JOB_STATES]
        return not active and not unfinished and not request_missing_jobs(limit=10)
