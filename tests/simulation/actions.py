"""What people, ticks, AWS Batch and containers may do, well and badly: each act is one step of a history."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.db.models import F
from django.db.models.functions import Now

from tasks.batch.errors import BatchError
from tasks.lifecycle.errors import BatchreelError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import LIVE_ATTEMPT_STATES, UnitKind
from tasks.models import Attempt, Job, Tick, Video
from tasks.services.container_api.finish import fail_attempt, reject_input
from tasks.services.container_api.publish import finished_units, redo_units
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.delete import delete_video
from tasks.services.requests.request import request_by_person, revive
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.reap import reap
from tasks.services.ticks.submit import submit_due
from tests.db_snapshot import snapshot
from tests.simulation.batch import ESSENTIAL
from tests.simulation.bridge import MAX_ATTEMPTS, Bridge

OPERATOR = "an operator's words"
PICKS = range(6)
"""Which of several it is: a number, taken modulo how many there are."""
SELDOM = len(PICKS)
"""What ends a job for good happens for one pick in so many: jobs have to get somewhere to be disturbed there."""
SUBMIT_FAULTS = ("", "", "", "refused", "throttled", "lost before", "lost after", "lost after, not listed")
PEOPLE = ("upload", "bulk", "version", "again", "again", "cancel", "delete", "revive")
CHANGES = ("ends", "ends", "starts", "succeeds", "vanishes", "is listed")
MISDEEDS = ("fails", "refuses", "dies", "dies unseen", "is cut off")
REASONS = (Reason.ENCODE_FAILED, Reason.STORAGE_FAILED, Reason.SIGTERM)
RARELY = (False, False, False, True)
SPANS_S = (20.0, 61.0, 200.0, 301.0, 901.0)
ENDS = (
    (ESSENTIAL, "", 1),
    (ESSENTIAL, "OutOfMemoryError: Container killed due to memory usage", 137),
    (ESSENTIAL, "CannotInspectContainerError: Could not transition to inspecting", None),
    ("Host EC2 (instance i-1) terminated.", "", None),
    ("Your Spot Task was interrupted.", "", 137),
    ("Job attempt duration exceeded timeout", "", 137),
    (OPERATOR, "", 143),
)


class Acts(Bridge):
    """A bridge to which everything may happen."""

    most_videos = 2

    # People.

    def person_acts(self, act: str, pick: int) -> None:
        video = self.pick(Video.objects.order_by("created_at"), pick)
        job = self.pick(Job.objects.order_by("created_at"), pick)
        if act in {"upload", "bulk"} and len(self.rows["videos"]) < self.most_videos:
            self.upload(with_signal=act == "upload")
        elif act == "version" and video and not video.deleted_at:
            video.source = self.source()
            video.save()
        elif act == "again" and video:
            with suppress(BatchreelError):
                request_by_person(video_id=video.pk)
        elif act == "cancel" and job:
            cancel_job(job_id=job.pk)
        elif act == "delete" and video and pick % SELDOM == 0:
            delete_video(video_id=video.pk)
        elif act == "revive" and job:
            with suppress(BatchreelError):
                revive(job_id=job.pk)

    # All is well. Hypothesis leaves rules out, another half in each history: of these, seldom all three.

    def bridge_goes_on(self, number: int) -> None:
        self.tick_submit(fault="")
        self.ticks(number)
        for job in self.waiting():
            self.start(job)

    def container_goes_on(self, pick: int, steps: int) -> None:
        if not self.here():
            self.tick_submit(fault="")
            for job in self.waiting():
                self.start(job)
        if container := self.pick(self.here(), pick):
            for _ in range(steps):
                self.step(container)

    def all_goes_on(self, number: int, steps: int) -> None:
        self.bridge_goes_on(number=number)
        for container in self.here():
            for _ in range(steps):
                self.step(container)
        self.clock.advance(20)
        self.all_beat()

    # Ticks.

    def tick_submit(self, fault: str) -> None:
        """Jobs that wait out their backoff are due at once: how long it is, is for another test."""
        Job.objects.filter(next_attempt_at__gt=Now()).update(next_attempt_at=F("created_at"))
        Attempt.objects.filter(submit_at__gt=Now()).update(submit_at=F("created_at"))
        self.batch.submit_fault = fault
        submit_due(batch=self.batch)

    def submit_takes_effect_twice(self) -> None:
        """The answer is lost and ListJobs lags for longer than both looks: a second Batch job under the same name."""
        self.tick_submit(fault="lost after, not listed")
        for _ in range(2):
            self.clock.advance(61)
            self.all_beat()
            with self.healthy_ones_go_on():
                resolve_ambiguous(batch=self.batch)
        self.tick_submit(fault="")
        for job in self.batch.jobs.values():
            job.listed = True

    def ticks_run(self, number: int, reads_fail: bool, terminate_fails: bool) -> None:
        self.batch.read_fault, self.batch.terminate_fault = reads_fail, terminate_fails
        self.all_beat()
        self.ticks(number)
        self.batch.read_fault = self.batch.terminate_fault = False

    def tick_reaps_all(self, reads_fail: bool) -> None:
        self.batch.read_fault = reads_fail
        with self.healthy_ones_go_on(), suppress(BatchError):
            reap(batch=self.batch)
        self.batch.read_fault = False

    def database_is_away(self, seconds: float, number: int) -> None:
        """Nobody is heard and nothing ticks in the meantime; the ticks are back before the first heartbeat is."""
        self.clock.advance(seconds)
        Tick.objects.update(continuous_since=Now())
        self.ticks(number)
        self.all_beat()

    # AWS Batch.

    def batch_job_changes(self, pick: int, end: tuple[str, str, int | None], what: str) -> None:
        job = self.pick(self.not_over() or list(self.batch.jobs.values()), pick)
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

    def container_starts(self, pick: int) -> None:
        self.start(self.pick(self.waiting(), pick))
        self.step(self.containers[-1])

    def container_works(self, pick: int, steps: int) -> None:
        container = self.pick(self.here(), pick)
        for _ in range(steps):
            self.step(container)

    def container_says_it_twice(self, pick: int, sends_back: bool) -> None:
        """The answer to its COMMIT was lost, so it finishes its unit again; or what it was to publish is bad."""
        container = self.pick([each for each in self.here() if each.lease], pick)
        if sends_back and container.lease.kind is UnitKind.PUBLISH:
            bad = [(made, "too short") for made in finished_units(container.job_id)[:1]]
            with self.late_writes_change_nothing(container), suppress(BatchreelError):
                redo_units(container.claim, container.lease, bad=bad)
        else:
            with self.late_writes_change_nothing(container), suppress(BatchreelError):
                container.finish()
            before = snapshot()
            with suppress(BatchreelError):
                container.finish()
            assert snapshot() == before
        container.lease = None

    def container_misbehaves(self, pick: int, how: str, reason: Reason) -> None:
        container = self.pick(self.here(), pick)
        if how == "is cut off":
            container.cut_off = not container.cut_off
        elif how == "dies unseen":
            container.is_gone = True
        elif how == "dies" or container.claim is None:
            container.leave(137)
        else:
            with self.late_writes_change_nothing(container), suppress(BatchreelError):
                if how == "fails":
                    fail_attempt(container.claim, reason=reason, text="", exit_code=1)
                elif pick % SELDOM == 0:
                    reject_input(container.claim, code="NOT_A_VIDEO", message="No.", exit_code=20)
            container.leave(1)

    def container_is_replaced(self, pick: int, number: int) -> None:
        """It is silent for too long, and does not know that it was given up: it may go on beside the one that takes its place."""
        self.pick(self.claimed(), pick).cut_off = True
        self.clock.advance(301)
        self.all_beat()
        self.bridge_goes_on(number=number)
        self.bridge_goes_on(number=number + 1)

    def batch_forgets_one_at_work(self, pick: int) -> None:
        """DescribeJobs does not know it any more, again and again, while its heartbeats arrive."""
        container = self.pick(self.claimed(), pick)
        container.batch_job.forgotten = True
        self.clock.advance(301)
        self.all_beat()
        self.ticks(container.claim.attempt_id)
        self.ticks(container.claim.attempt_id)

    def executions_end_early(self, times: int, end: tuple[str, str, int | None], steps: int) -> None:
        """One container of a job after the other ends in the same way: the budget, and what is not counted to it."""
        job_id = None
        for number in range(times):
            self.bridge_goes_on(number=number)
            mine = [each for each in self.here() if job_id in {None, each.job_id}]
            if not mine:
                return
            container, job_id = mine[0], mine[0].job_id
            for _ in range(steps):
                self.step(container)
            container.is_gone = True
            container.batch_job.container_reason = end[1]
            container.batch_job.end(words=end[0], exit_code=end[2])
            self.ticks(container.claim.attempt_id if container.claim else 0)

    def helper_is_granted(self, pick: int) -> None:
        """A second attempt beside a live one, where the budget covers it. Its Batch job is submitted by the next tick."""
        job = Job.objects.get(pk=self.pick(self.claimed(), pick).job_id)
        counted = Attempt.objects.filter(job=job, number__gt=job.budget_from)
        may_count = counted.exclude(counted=False, ended_at__isnull=False)
        live = counted.filter(state__in=LIVE_ATTEMPT_STATES)
        if job.state == "RUNNING" and live.exists() and may_count.count() < MAX_ATTEMPTS:
            Job.objects.filter(pk=job.pk).update(fence=F("fence") + 1)
            number = job.fence + 1
            name = f"batchreel-{job.pk}-{number}"
            Attempt.objects.create(
                job=job, number=number, batch_job_name=name, vcpus=1, memory_mib=1024, submit_at=Now()
            )


NEEDS: dict[str, Callable[[Acts], object]] = {
    "batch_job_changes": lambda acts: acts.batch.jobs,
    "container_starts": Acts.waiting,
    "container_works": Acts.here,
    "container_says_it_twice": lambda acts: any(each.lease for each in acts.here()),
    "container_misbehaves": Acts.here,
    "container_is_replaced": Acts.claimed,
    "batch_forgets_one_at_work": Acts.claimed,
    "helper_is_granted": Acts.claimed,
}
"""Act -> what there must be for it."""
