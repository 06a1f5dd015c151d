"""Any history of requests, ticks, faults, containers and people, drawn by hypothesis, against the services on PostgreSQL.

After each step the promises hold (tests/services/machine_checks.py). Then the faults stop, and every job comes to an end in bounded time.
"""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pytest_django import Settings

from tasks.batch.errors import BatchError
from tasks.lifecycle.errors import BatchreelError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import ACTIVE_JOB_STATES, LIVE_ATTEMPT_STATES, AttemptState, UnitKind
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.services.cancel import cancel_job
from tasks.services.delete import delete_video
from tasks.services.doubt import resolve_doubts
from tasks.services.finish import fail_attempt, refuse_input
from tasks.services.heartbeat import Beat
from tasks.services.observe import observe
from tasks.services.publish import made_units, send_back
from tasks.services.reap import reap, reap_batch_jobs
from tasks.services.request import request_by_person, request_overlooked, revive
from tasks.services.rescue import rescue
from tasks.services.resume import resume_idle
from tasks.services.submit import submit_due
from tests.services.machine_checks import Watcher
from tests.services.machine_world import ESSENTIAL, BatchJob, Container, SimulatedBatch, pass_time, restart_ids
from tests.services.table_rows import snapshot

pytestmark = pytest.mark.django_db

T = TypeVar("T")

MAX_ATTEMPTS = 3
QUICK_EXAMPLES = 25
STEPS = 40
MOST_VIDEOS = 2
OPERATOR = "an operator's words"
MOST_ROUNDS = 60
"""Rounds of all ticks, two minutes apart, in which every job must have come to its end once the faults have stopped."""

picks = st.integers(0, 5)
submit_faults = st.sampled_from(
    ["", "", "", "refused", "throttled", "lost before", "lost after", "lost after, not listed"]
)
ends = st.sampled_from(
    [
        (ESSENTIAL, "", 1),
        (ESSENTIAL, "OutOfMemoryError: Container killed due to memory usage", 137),
        (ESSENTIAL, "CannotInspectContainerError: Could not transition to inspecting", None),
        ("Host EC2 (instance i-1) terminated.", "", None),
        ("Your Spot Task was interrupted.", "", 137),
        ("Job attempt duration exceeded timeout", "", 137),
        (OPERATOR, "", 143),
    ]
)
reasons = st.sampled_from([Reason.ENCODE_FAILED, Reason.STORAGE_FAILED, Reason.SIGTERM])
rarely = st.sampled_from([False, False, False, True])
spans_s = st.sampled_from([20.0, 61.0, 200.0, 301.0, 901.0])


class Machine(RuleBasedStateMachine):
    """The services, a simulated AWS Batch, its containers, and people."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        restart_ids()
        self.batch = SimulatedBatch()
        self.containers: list[Container] = []
        self.begun: set[str] = set()
        self.numbers = itertools.count()
        newest = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        self.watcher = Watcher(max_attempts=MAX_ATTEMPTS, newest_event=newest)
        self.rows: dict[str, Any] = {}
        Tick.objects.create(name="rescue", unbroken_since=Now())
        self._upload(with_signal=True)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._converge()
        finally:
            transaction.savepoint_rollback(self.savepoint)

    @invariant()
    def promises_hold(self) -> None:
        self.rows = self.watcher.check()

    # People.

    @rule(
        act=st.sampled_from(["upload", "bulk", "version", "again", "again", "cancel", "delete", "revive"]), pick=picks
    )
    def person_acts(self, act: str, pick: int) -> None:
        video = self._pick(Video.objects.order_by("created_at"), pick)
        job = self._pick(Job.objects.order_by("created_at"), pick)
        if act in {"upload", "bulk"} and len(self.rows["videos"]) < MOST_VIDEOS:
            self._upload(with_signal=act == "upload")
        elif act == "version" and video and not video.deleted_at:
            video.source = self._source()
            video.save()
        elif act == "again" and video:
            with suppress(BatchreelError):
                request_by_person(video_id=video.pk)
        elif act == "cancel" and job:
            cancel_job(job_id=job.pk)
        elif act == "delete" and video and pick == 0:
            delete_video(video_id=video.pk)
        elif act == "revive" and job:
            with suppress(BatchreelError):
                revive(job_id=job.pk)

    # All is well. Hypothesis leaves rules out, another half in each history: of these, seldom all three.

    @rule(number=picks)
    def bridge_goes_on(self, number: int) -> None:
        self.tick_submit(fault="")
        self._ticks(number)
        for job in self._waiting():
            self._start(job)

    @rule(pick=picks, steps=st.integers(1, 8))
    def container_goes_on(self, pick: int, steps: int) -> None:
        if not self._here():
            self.tick_submit(fault="")
            for job in self._waiting():
                self._start(job)
        if container := self._pick(self._here(), pick):
            for _ in range(steps):
                self._step(container)

    @rule(number=picks, steps=st.integers(1, 4))
    def all_goes_on(self, number: int, steps: int) -> None:
        self.bridge_goes_on(number=number)
        for container in self._here():
            for _ in range(steps):
                self._step(container)
        pass_time(self.batch, seconds=20)
        self._all_beat()

    # Ticks.

    @rule(fault=submit_faults)
    def tick_submit(self, fault: str) -> None:
        """Jobs that wait out their backoff are due at once: how long it is, is for another test."""
        Job.objects.filter(next_attempt_at__gt=Now()).update(next_attempt_at=F("created_at"))
        Attempt.objects.filter(submit_at__gt=Now()).update(submit_at=F("created_at"))
        self.batch.submit_fault = fault
        submit_due(batch=self.batch)

    @rule()
    def submit_takes_effect_twice(self) -> None:
        """The answer is lost and ListJobs lags for longer than both looks: a second Batch job under the same name."""
        self.tick_submit(fault="lost after, not listed")
        for _ in range(2):
            pass_time(self.batch, seconds=61)
            self._all_beat()
            resolve_doubts(batch=self.batch)
        self.tick_submit(fault="")
        for job in self.batch.jobs.values():
            job.listed = True

    @rule(number=picks, reads_fail=rarely, terminate_fails=rarely)
    def ticks_run(self, number: int, reads_fail: bool, terminate_fails: bool) -> None:
        self.batch.read_fault, self.batch.terminate_fault = reads_fail, terminate_fails
        self._all_beat()
        with self._healthy_ones_go_on():
            self._ticks(number)
        self.batch.read_fault = self.batch.terminate_fault = False

    @rule(reads_fail=rarely)
    def tick_reaps_all(self, reads_fail: bool) -> None:
        self.batch.read_fault = reads_fail
        with suppress(BatchError):
            reap(batch=self.batch)
        self.batch.read_fault = False

    @rule(seconds=spans_s, ticks_were_away=rarely)
    def time_passes(self, seconds: float, ticks_were_away: bool) -> None:
        pass_time(self.batch, seconds=seconds)
        if ticks_were_away:
            Tick.objects.update(unbroken_since=Now())
        self._all_beat()

    # AWS Batch.

    @precondition(lambda self: self.batch.jobs)
    @rule(pick=picks, end=ends, what=st.sampled_from(["ends", "ends", "starts", "succeeds", "vanishes", "is listed"]))
    def batch_job_changes(self, pick: int, end: tuple[str, str, int | None], what: str) -> None:
        job = self._pick(self._not_over() or list(self.batch.jobs.values()), pick)
        if what == "ends":
            job.container_reason = end[1]
            job.terminated = end[0] == OPERATOR
            job.end(words=end[0], exit_code=end[2])
        elif what == "starts" and job.status is BatchStatus.RUNNABLE:
            job.status = BatchStatus.STARTING
        elif what == "succeeds":
            job.end(status=BatchStatus.SUCCEEDED, words=ESSENTIAL, exit_code=0)
        elif what == "vanishes":
            job.forgotten = True
        else:
            job.listed = True

    # Containers.

    @precondition(lambda self: self._waiting())
    @rule(pick=picks)
    def container_starts(self, pick: int) -> None:
        self._start(self._pick(self._waiting(), pick))
        self._step(self.containers[-1])

    @precondition(lambda self: self._here())
    @rule(pick=picks, steps=st.integers(1, 8))
    def container_works(self, pick: int, steps: int) -> None:
        container = self._pick(self._here(), pick)
        for _ in range(steps):
            self._step(container)

    @precondition(lambda self: any(each.lease for each in self._here()))
    @rule(pick=picks, sends_back=rarely)
    def container_says_it_twice(self, pick: int, sends_back: bool) -> None:
        """The answer to its COMMIT was lost, so it finishes its unit again; or what it was to publish is bad."""
        container = self._pick([each for each in self._here() if each.lease], pick)
        if sends_back and container.lease.kind is UnitKind.PUBLISH:
            bad = [(made, "too short") for made in made_units(container.job_id)[:1]]
            with self._late_writes_change_nothing(container), suppress(BatchreelError):
                send_back(container.claim, container.lease, bad=bad)
        else:
            with self._late_writes_change_nothing(container), suppress(BatchreelError):
                container.finish()
            before = snapshot()
            with suppress(BatchreelError):
                container.finish()
            assert snapshot() == before
        container.lease = None

    @precondition(lambda self: self._here())
    @rule(pick=picks, how=st.sampled_from(["fails", "refuses", "dies", "dies unseen", "is cut off"]), reason=reasons)
    def container_misbehaves(self, pick: int, how: str, reason: Reason) -> None:
        container = self._pick(self._here(), pick)
        if how == "is cut off":
            container.cut_off = not container.cut_off
        elif how == "dies unseen":
            container.is_gone = True
        elif how == "dies" or container.claim is None:
            container.leave(137)
        else:
            with self._late_writes_change_nothing(container), suppress(BatchreelError):
                if how == "fails":
                    fail_attempt(container.claim, reason=reason, text="", exit_code=1)
                elif pick == 0:
                    refuse_input(container.claim, code="NOT_A_VIDEO", sentence="No.", exit_code=20)
            container.leave(1)

    @precondition(lambda self: self._claimed())
    @rule(pick=picks, number=picks)
    def container_is_replaced(self, pick: int, number: int) -> None:
        """It is silent for too long, and does not know that it was given up: it may go on beside the one that takes its place."""
        self._pick(self._claimed(), pick).cut_off = True
        pass_time(self.batch, seconds=301)
        self._all_beat()
        self.bridge_goes_on(number=number)
        self.bridge_goes_on(number=number + 1)

    @precondition(lambda self: self._claimed())
    @rule(pick=picks)
    def batch_forgets_one_at_work(self, pick: int) -> None:
        """DescribeJobs does not know it any more, again and again, while its heartbeats arrive."""
        container = self._pick(self._claimed(), pick)
        container.batch_job.forgotten = True
        pass_time(self.batch, seconds=301)
        self._all_beat()
        with self._healthy_ones_go_on():
            self._ticks(container.claim.attempt_id)
            self._ticks(container.claim.attempt_id)

    @rule(times=st.integers(1, 4), end=ends, steps=st.integers(1, 3))
    def executions_end_early(self, times: int, end: tuple[str, str, int | None], steps: int) -> None:
        """One container after the other ends in the same way: the budget, and what is not charged to it."""
        for _ in range(times):
            self.container_goes_on(pick=0, steps=steps)
            if not (here := self._here()):
                return
            here[0].is_gone = True
            here[0].batch_job.container_reason = end[1]
            here[0].batch_job.end(words=end[0], exit_code=end[2])
            self._ticks(here[0].claim.attempt_id if here[0].claim else 0)

    @precondition(lambda self: self._claimed())
    @rule(pick=picks)
    def helper_is_granted(self, pick: int) -> None:
        """A second attempt beside a live one, where the budget covers it. Its Batch job is submitted by the next tick."""
        job = Job.objects.get(pk=self._pick(self._claimed(), pick).job_id)
        counted = Attempt.objects.filter(job=job, number__gt=job.budget_from)
        may_count = counted.exclude(charged=False, ended_at__isnull=False)
        live = counted.filter(state__in=LIVE_ATTEMPT_STATES)
        if job.state == "RUNNING" and live.exists() and may_count.count() < MAX_ATTEMPTS:
            Job.objects.filter(pk=job.pk).update(fence=F("fence") + 1)
            number = job.fence + 1
            name = f"batchreel-{job.pk}-{number}"
            Attempt.objects.create(
                job=job, number=number, batch_job_name=name, vcpus=1, memory_mib=1024, submit_at=Now()
            )

    # Parts.

    def _upload(self, *, with_signal: bool) -> None:
        video = Video(title="v", source=self._source())
        if with_signal:
            video.save()
        else:
            Video.objects.bulk_create([video])

    def _source(self) -> str:
        return f"sources/{next(self.numbers)}.mp4"

    def _pick(self, those: Sequence[T] | Any, pick: int) -> Any:
        those = list(those)
        return those[pick % len(those)] if those else None

    def _not_over(self) -> list[BatchJob]:
        return [job for job in self.batch.jobs.values() if not job.is_over]

    def _waiting(self) -> list[BatchJob]:
        return [job for job in self._not_over() if job.batch_job_id not in self.begun]

    def _here(self) -> list[Container]:
        return [each for each in self.containers if not each.is_gone]

    def _claimed(self) -> list[Container]:
        return [each for each in self._here() if each.claim is not None]

    def _start(self, job: BatchJob) -> None:
        self.begun.add(job.batch_job_id)
        job.status, job.started = BatchStatus.RUNNING, True
        job_id, _, number = job.name.removeprefix("batchreel-").rpartition("-")
        self.containers.append(Container(batch_job=job, job_id=uuid.UUID(job_id), number=int(number)))

    def _step(self, container: Container) -> None:
        if not container.is_gone:
            with self._late_writes_change_nothing(container):
                self._advance(container)

    def _advance(self, container: Container) -> None:
        finishes = container.lease
        container.step()
        if finishes:
            container.lease = None

    def _beat(self, container: Container) -> None:
        attempt = Attempt.objects.filter(job=container.job_id, number=container.number, claim_id=container.claim_id)
        runs = attempt.filter(state=AttemptState.RUNNING).exists()
        answer = container.beat()
        assert answer is None or (answer is Beat.ALIVE) == runs
        if answer not in {None, Beat.ALIVE}:
            container.leave(0 if answer is Beat.DONE else 11)

    def _all_beat(self) -> None:
        for container in self._here():
            if not container.cut_off:
                self._beat(container)

    @contextmanager
    def _late_writes_change_nothing(self, container: Container) -> Iterator[None]:
        before = snapshot() if self._is_superseded(container) else None
        yield
        assert before is None or snapshot() == before, f"{container} is superseded, and wrote"

    def _is_superseded(self, container: Container) -> bool:
        attempt = Attempt.objects.filter(job=container.job_id, number=container.number).first()
        if attempt is None:
            return True
        if container.claim is None:
            free = attempt.state in {AttemptState.SUBMITTING, AttemptState.SUBMITTED}
            return not free or attempt.batch_job_id not in {None, container.batch_job.batch_job_id}
        lease = container.lease
        leased_again = lease and not Unit.objects.filter(pk=lease.unit_id, fence=lease.fence, lease_id=lease.lease_id)
        return attempt.state != AttemptState.RUNNING or attempt.claim_id != container.claim_id or bool(leased_again)

    def _ticks(self, number: int) -> None:
        """Every tick once, but for the removal of objects. Each ends at the first BatchError, as run_tick has it."""
        since = Tick.objects.values_list("unbroken_since", flat=True).get(name="rescue")
        assert since is not None
        bodies: list[Callable[[], object]] = [
            lambda: request_overlooked(limit=10),
            lambda: resolve_doubts(batch=self.batch),
            lambda: observe(batch=self.batch, tick=number),
            lambda: rescue(batch=self.batch, unbroken_since=since),
            lambda: reap_batch_jobs(batch=self.batch, limit=50),
        ]
        for body in bodies:
            with suppress(BatchError):
                body()
        assert resume_idle() == 0, "a path of the services left a job to nobody"

    @contextmanager
    def _healthy_ones_go_on(self) -> Iterator[None]:
        """A container that is heard, and whose Batch job is not over, keeps its attempt whatever a tick does."""
        healthy = [
            each.claim.attempt_id
            for each in self._claimed()
            if each.claim is not None and not each.cut_off and not each.batch_job.is_over
        ]
        running = Attempt.objects.filter(pk__in=healthy, state=AttemptState.RUNNING)
        before = running.count()
        yield
        assert running.count() == before, "a healthy container was taken for dead"

    # The end.

    def _converge(self) -> None:
        """No more faults. What containers are left go on, and every tick runs."""
        self.batch.submit_fault = ""
        for job in self.batch.jobs.values():
            job.listed = True
        for container in self.containers:
            container.cut_off = False
        for number in range(MOST_ROUNDS):
            if self._is_over():
                reap(batch=self.batch)
                self.promises_hold()
                return
            self.time_passes(seconds=120.0, ticks_were_away=False)
            submit_due(batch=self.batch)
            for job in self._owned_by_attempts():
                self._start(job)
            for container in self._here():
                self._work_to_the_end(container)
            self._ticks(number)
            self.promises_hold()
        assert self._is_over(), f"not over after {MOST_ROUNDS} rounds: {list(Job.objects.values())}"

    def _work_to_the_end(self, container: Container) -> None:
        for _ in range(20):
            if container.is_gone:
                return
            self._advance(container)

    def _owned_by_attempts(self) -> list[BatchJob]:
        """Strays never get a machine here, so it is the reap tick that has to end them."""
        live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
        owned = set(live.values_list("batch_job_id", flat=True))
        return [job for job in self._waiting() if job.batch_job_id in owned]

    def _is_over(self) -> bool:
        self.promises_hold()
        at_work = [job for job in self._not_over() if not job.forgotten]
        active = [job for job in self.rows["jobs"] if job["state"] in ACTIVE_JOB_STATES]
        return not active and not at_work and not request_overlooked(limit=10)


@pytest.fixture
def _small_budget(settings: Settings) -> None:
    settings.BATCHREEL = {
        "max_attempts": MAX_ATTEMPTS,
        "max_losses_in_a_row": 4,
        "submit_burst": 100_000,
        "submit_per_s": 100_000,
    }


def _run(examples: int) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.usefixtures("_small_budget")
def test_promises_hold_and_every_job_ends_whatever_happens_in_which_order() -> None:
    _run(QUICK_EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("_small_budget")
@pytest.mark.parametrize("examples", [200, 5000])
def test_promises_hold_and_every_job_ends_in_thousands_of_histories(examples: int) -> None:
    _run(examples)
