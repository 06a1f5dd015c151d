"""A Batch job that vanished is replaced soon; one missing in a single response is left alone."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tasks.batch.port import Submission
from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.models import Attempt, Job, Video
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import submit_due
from tests.simulation.batch import SimulatedBatch
from tests.simulation.bridge import Bridge
from tests.simulation.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

VANISHED = 5
REPLACEMENT_LIMIT_S = 180
TICK_S = 15
LONG_STEP_S = 60

WAITING = 1_000
EMPTY_SHARE = 0.01
OBSERVATIONS = 1_000
LONG_OBSERVATIONS = 1_000_000


class ForgetfulBatch(SimulatedBatch):
    """Simulated AWS Batch that omits one of a hundred Batch jobs from its responses."""

    _random = random.Random(1)
    omitted = 0

    def _observation(self, batch_job_id: str) -> Observation:
        if self._random.random() < EMPTY_SHARE:
            self.omitted += 1
            return Observation(batch_job_id=batch_job_id, status=BatchStatus.ABSENT)
        return super()._observation(batch_job_id)


@pytest.mark.few(1)
@pytest.mark.parametrize("running", [True, False], ids=["running", "waiting for a host"])
@pytest.mark.parametrize("age_s", [0, 600], ids=["young", "old"])
def test_job_is_resubmitted_in_three_minutes_when_its_batch_job_vanished(
    running: bool, age_s: int, settings: Settings
) -> None:
    settings.BATCHREEL = {"max_in_batch": 1000}
    bridge = Bridge()
    for _ in range(VANISHED):
        bridge.upload(with_signal=True)
    submit_due(batch=bridge.batch)
    for job in bridge.unstarted_batch_jobs():
        if running:
            bridge.start(job)
            bridge.step(bridge.containers[-1])
    for number in range(age_s // LONG_STEP_S):
        bridge.time_passes(LONG_STEP_S, ticks_paused=False)
        bridge.ticks(number)
    bridge.send_all_heartbeats()
    for job in bridge.batch.jobs.values():
        job.forgotten = True
    for container in bridge.containers:
        container.is_gone = True
    passed_s = 0
    while len(bridge.batch.jobs) < 2 * VANISHED:
        passed_s += TICK_S
        assert passed_s <= REPLACEMENT_LIMIT_S, f"only {len(bridge.batch.jobs) - VANISHED} of {VANISHED} run again"
        bridge.time_passes(TICK_S, ticks_paused=False)
        bridge.ticks(age_s + passed_s // TICK_S)
        submit_due(batch=bridge.batch)
    assert set(Attempt.objects.filter(number=1).values_list("state", "reason")) == {("LOST", "BATCH_JOB_MISSING")}


@pytest.mark.long
@pytest.mark.parametrize(
    "observations",
    [OBSERVATIONS, pytest.param(LONG_OBSERVATIONS, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_waiting_attempts_are_kept_when_one_percent_of_responses_is_empty(
    observations: int, settings: Settings
) -> None:
    settings.BATCHREEL = {"max_in_batch": 10_000, "poll_running_s": TICK_S}
    batch = ForgetfulBatch(VirtualClock())
    videos = Video.objects.bulk_create(Video(title="v", source=f"sources/{number}.mp4") for number in range(WAITING))
    jobs = Job.objects.bulk_create(
        Job(video=video, source_name=str(video.source), fence=1, next_attempt_at=None) for video in videos
    )
    for job in jobs:
        batch.submit(
            Submission(
                name=f"batchreel-{job.pk}-1",
                queue="q",
                parameters={},
                environment={},
                vcpus=1,
                memory_mib=1024,
                timeout_s=60,
            )
        )
    Attempt.objects.bulk_create(
        Attempt(
            job=job,
            number=1,
            state="SUBMITTED",
            vcpus=1,
            memory_mib=1024,
            timeout_s=3600,
            batch_job_name=each.name,
            batch_job_id=each.batch_job_id,
        )
        for job, each in zip(jobs, batch.jobs.values(), strict=True)
    )
    batch.clock.advance(bridge_settings().missing_min_age_s + 1)
    observed = 0
    while observed < observations:
        observed += observe(batch=batch, tick=observed // WAITING).asked
    assert batch.omitted > 0.009 * observed
    assert Attempt.objects.filter(state="SUBMITTED").count() == WAITING
