"""Actions of people, ticks, AWS Batch and containers, with and without faults.

Each action is one step of a history.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.db.models import F
from django.db.models.functions import Now

from tasks.batch.errors import BatchError
from tasks.lifecycle.errors import BatchreelError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import UnitKind
from tasks.models import Attempt, Job, Tick, Video
from tasks.services.container_api.finish import fail_attempt, reject_input
from tasks.services.container_api.publish import finished_units, redo_units
from tasks.services.removal.purge import purge
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.delete import delete_video
from tasks.services.requests.request import request_again, revive
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.reap import reap
from tasks.services.ticks.submit import submit_due
from tests.db_snapshot import snapshot
from tests.simulation.batch import ESSENTIAL
from tests.simulation.bridge import Bridge

OPERATOR = "a reason given by an operator"
PICKS = range(6)
"""Drawn numbers that select one of several rows, modulo their count."""
FINAL_EVERY_PICKS = len(PICKS)
"""Actions that end a job for good happen for one in this many picks.

Jobs have to make progress before faults can disturb it.
"""
SUBMIT_FAULTS = ("", "", "", "refused", "throttled", "lost before", "lost after", "lost after, not listed")
PERSON_ACTIONS = ("upload", "bulk", "version", "again", "again", "cancel", "delete", "revive")
CHANGES = ("ends", "ends", "starts", "succeeds", "vanishes", "is listed")
MISBEHAVIORS = ("fails", "rejects", "dies", "dies unnoticed", "is cut off")
REASONS = (Reason.TRANSCODE_FAILED, Reason.STORAGE_FAILED, Reason.SIGTERM)
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


class Actions(Bridge):
    """A bridge to which anything can happen."""

    max_videos = 2

    # People.

    def person_acts(self, act: str, pick: int) -> None:
        video = self.pick(Video.objects.order_by("created_at"), pick)
        job = self.pick(Job.objects.order_by("created_at"), pick)
        if act in {"upload", "bulk"} and len(self.rows["videos"]) < self.max_videos:
            self.upload(with_signal=act == "upload")
        elif act == "version" and video and not video.deleted_at:
            video.source = self.source()
            video.save()
        elif act == "again" and video:
            with suppress(BatchreelError):
                request_again(video_id=video.pk)
        elif act == "cancel" and job:
            cancel_job(job_id=job.pk)
        elif act == "delete" and video and pick % FINAL_EVERY_PICKS == 0:
            delete_video(video_id=video.pk)
        elif act == "revive" and job:
            with suppress(BatchreelError):
                revive(job_id=job.pk)

    # Without faults. Hypothesis disables a different half of the rules in each history, and
    # rarely all three of these.

    def bridge_runs(self, number: int) -> None:
        self.tick_submit(fault="")
        self.ticks(number)
        for job in self.unstarted_batch_jobs():
            self.start(job)

    def container_advances(self, pick: int, steps: int) -> None:
        if not self.live_containers():
            self.tick_submit(fault="")
            for job in self.unstarted_batch_jobs():
                self.start(job)
        if container := self.pick(self.live_containers(), pick):
            for _ in range(steps):
                self.step(container)

    def all_advance(self, number: int, steps: int) -> None:
        self.bridge_runs(number=number)
        for container in self.live_containers():
            for _ in range(steps):
                self.step(container)
        self.clock.advance(20)
        self.send_all_heartbeats()

    # Ticks.

    def tick_submit(self, fault: str) -> None:
        """Submit due jobs, including those in backoff; its length is tested elsewhere."""
        Job.objects.filter(next_attempt_at__gt=Now()).update(next_attempt_at=F("created_at"))
        Attempt.objects.filter(submit_at__gt=Now()).update(submit_at=F("created_at"))
        self.batch.submit_fault = fault
        submit_due(batch=self.batch)

    def submit_takes_effect_twice(self) -> None:
        """Create a second Batch job of the same name.

        The response to SubmitJob is lost, and ListJobs lags for longer than both lookups.
        """
        self.tick_submit(fault="lost after, not listed")
        for _ in range(2):
            self.clock.advance(61)
            self.send_all_heartbeats()
            with self.healthy_containers_survive():
                resolve_ambiguous(batch=self.batch)
        self.tick_submit(fault="")
        for job in self.batch.jobs.values():
            job.listed = True

    def ticks_run(self, number: int, reads_fail: bool, terminate_fails: bool) -> None:
        self.batch.read_fault, self.batch.terminate_fault = reads_fail, terminate_fails
        self.send_all_heartbeats()
        self.ticks(number)
        self.batch.read_fault = self.batch.terminate_fault = False

    def tick_reaps_all(self, reads_fail: bool) -> None:
        self.batch.read_fault = reads_fail
        with self.healthy_containers_survive(), suppress(BatchError):
            reap(batch=self.batch)
        self.batch.read_fault = False
        with self.healthy_containers_survive():
            purge()

    def database_is_unavailable(self, seconds: float, number: int) -> None:
        """Let time pass without heartbeats and ticks; ticks resume before the first heartbeat."""
        self.clock.advance(seconds)
        Tick.objects.update(continuous_since=Now())
        self.ticks(number)
        self.send_all_heartbeats()

    # AWS Batch.

    def batch_job_changes(self, pick: int, end: tuple[str, str, int | None], what: str) -> None:
        job = self.pick(self.unfinished_batch_jobs() or list(self.batch.jobs.values()), pick)
        if what == "ends":
            job.container_reason = end[1]
            job.terminated = end[0] == OPERATOR
            job.end(reason=end[0], exit_code=end[2])
        elif what == "starts" and job.status is BatchStatus.RUNNABLE:
            job.status = BatchStatus.STARTING
        elif what == "succeeds":
            job.end(status=BatchStatus.SUCCEEDED, reason=ESSENTIAL, exit_code=0)
        elif what == "vanishes":
            job.forgotten = True
        else:
            job.listed = True

    # Containers.

    def container_starts(self, pick: int) -> None:
        self.start(self.pick(self.unstarted_batch_jobs(), pick))
        self.step(self.containers[-1])

    def container_works(self, pick: int, steps: int) -> None:
        container = self.pick(self.live_containers(), pick)
        for _ in range(steps):
            self.step(container)

    def container_repeats_finish(self, pick: int, redo: bool) -> None:
        """Finish a unit twice, as after a lost response to COMMIT; or redo one that failed verification."""
        container = self.pick([each for each in self.live_containers() if each.lease], pick)
        if redo and container.lease.kind is UnitKind.PUBLISH:
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
        container = self.pick(self.live_containers(), pick)
        if how == "is cut off":
            container.cut_off = not container.cut_off
        elif how == "dies unnoticed":
            container.is_gone = True
        elif how == "dies" or container.claim is None:
            container.leave(137)
        else:
            with self.late_writes_change_nothing(container), suppress(BatchreelError):
                if how == "fails":
                    fail_attempt(container.claim, reason=reason, text="", exit_code=1)
                elif pick % FINAL_EVERY_PICKS == 0:
                    reject_input(container.claim, code="NOT_A_VIDEO", message="No.", exit_code=20)
            container.leave(1)

    def container_is_replaced(self, pick: int, number: int) -> None:
        """Replace a silent container, which may keep running next to its successor."""
        self.pick(self.claimed_containers(), pick).cut_off = True
        self.clock.advance(301)
        self.send_all_heartbeats()
        self.bridge_runs(number=number)
        self.bridge_runs(number=number + 1)

    def batch_forgets_running_job(self, pick: int) -> None:
        """Make DescribeJobs omit a running Batch job whose heartbeats arrive."""
        container = self.pick(self.claimed_containers(), pick)
        container.batch_job.forgotten = True
        self.clock.advance(301)
        self.send_all_heartbeats()
        self.ticks(container.claim.attempt_id)
        self.ticks(container.claim.attempt_id)

    def containers_end_early(self, times: int, end: tuple[str, str, int | None], steps: int) -> None:
        """End several containers of one job in the same way, whether or not their attempts count."""
        job_id = None
        for number in range(times):
            self.bridge_runs(number=number)
            candidates = [each for each in self.live_containers() if job_id in {None, each.job_id}]
            if not candidates:
                return
            container, job_id = candidates[0], candidates[0].job_id
            for _ in range(steps):
                self.step(container)
            container.is_gone = True
            container.batch_job.container_reason = end[1]
            container.batch_job.end(reason=end[0], exit_code=end[2])
            self.ticks(container.claim.attempt_id if container.claim else 0)

    def helper_is_granted(self, pick: int) -> None:
        """Create one more helper than the rule wants. The next tick submits its Batch job."""
        job = Job.objects.get(pk=self.pick(self.claimed_containers(), pick).job_id)
        working = Attempt.objects.filter(job=job, state="RUNNING").first()
        if job.state == "RUNNING" and working is not None:
            Job.objects.filter(pk=job.pk).update(fence=F("fence") + 1)
            number = job.fence + 1
            name = f"batchreel-{job.pk}-{number}"
            Attempt.objects.create(
                job=job,
                number=number,
                helps=working.round,
                batch_job_name=name,
                vcpus=1,
                memory_mib=1024,
                timeout_s=3600,
                submit_at=Now(),
            )


NEEDS: dict[str, Callable[[Actions], object]] = {
    "batch_job_changes": lambda bridge: bridge.batch.jobs,
    "container_starts": Actions.unstarted_batch_jobs,
    "container_works": Actions.live_containers,
    "container_repeats_finish": lambda bridge: any(each.lease for each in bridge.live_containers()),
    "container_misbehaves": Actions.live_containers,
    "container_is_replaced": Actions.claimed_containers,
    "batch_forgets_running_job": Actions.claimed_containers,
    "helper_is_granted": Actions.claimed_containers,
}
"""Action -> what must exist for it."""
