"""Every third SubmitJob ends in doubt: each job gets one Batch job in the end, and every other one is terminated soon."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.states import LIVE_ATTEMPT_STATES, JobState
from tasks.models import Attempt, Job, Video
from tasks.services.reconcile import reconcile
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.reap import reap_batch_jobs
from tasks.services.ticks.submit import submit_due
from tests.simulation.batch import SimulatedBatch
from tests.simulation.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from pytest_django import Settings

    from tasks.batch.port import Submission

pytestmark = pytest.mark.django_db

QUICK_JOBS, LONG_JOBS = 150, 500
AMBIGUOUS_SHARE = 0.3
STEP_S = 15
REAP_EACH_STEPS = 4
STRAY_LIMIT_S = 180
MOST_STEPS = 120
LAGS_S = (0, 0, 30, 150)
"""How long ListJobs does not show a Batch job whose SubmitJob had no answer; the last is longer than both looks."""


class AmbiguousBatch(SimulatedBatch):
    """Of its answers to SubmitJob, three of ten are lost, half of these with their effect."""

    def __init__(self, seed: int) -> None:
        super().__init__(VirtualClock())
        self._dice = random.Random(seed)
        self.listed_at_s: dict[str, float] = {}

    def submit(self, submission: Submission) -> str:
        known = set(self.jobs)
        lost = self._dice.random() < AMBIGUOUS_SHARE
        self.submit_fault = self._dice.choice(("lost before", "lost after, not listed")) if lost else ""
        try:
            return super().submit(submission)
        finally:
            for new in set(self.jobs) - known:
                self.listed_at_s[new] = self.clock.now_s + (self._dice.choice(LAGS_S) if lost else 0)

    def pass_time(self) -> None:
        self.clock.advance(STEP_S)
        for batch_job_id, job in self.jobs.items():
            job.listed = self.clock.now_s >= self.listed_at_s[batch_job_id]

    def alive(self) -> Iterator[tuple[str, str]]:
        """Name and id of each Batch job that is not over."""
        return ((job.name, job.batch_job_id) for job in self.jobs.values() if not job.is_over)


STORMS = pytest.mark.parametrize(
    ("jobs", "seed"),
    [(QUICK_JOBS, 1), *(pytest.param(LONG_JOBS, seed, marks=pytest.mark.long) for seed in (1, 2, 3))],
)


@pytest.fixture(autouse=True)
def _no_wait_for_tokens(settings: Settings) -> None:
    settings.BATCHREEL = {"submit_burst": 100_000, "submit_per_s": 100_000}


@STORMS
def test_each_job_gets_one_batch_job_and_orphans_end_in_time_when_submits_end_in_doubt(jobs: int, seed: int) -> None:
    batch = AmbiguousBatch(seed)
    _ask_for(jobs)
    stray_since_s: dict[str, float] = {}
    doubts = 0
    for step in itertools.count():
        assert step < MOST_STEPS, f"{_without_batch_job(jobs)} jobs are without a Batch job"
        batch.pass_time()
        submit_due(batch=batch)
        resolve_ambiguous(batch=batch)
        if step % REAP_EACH_STEPS == 0:
            reap_batch_jobs(batch=batch, limit=50)
        orphans = _orphans(batch)
        # Nobody can see a Batch job before ListJobs shows it.
        stray_since_s = {
            each: stray_since_s.get(each, max(batch.clock.now_s, batch.listed_at_s[each])) for each in orphans
        }
        late = [each for each, since_s in stray_since_s.items() if batch.clock.now_s - since_s > STRAY_LIMIT_S]
        assert not late, f"not terminated after {STRAY_LIMIT_S} s: {late}"
        doubts = max(doubts, Attempt.objects.filter(state="SUBMITTING", submit_at=None).count())
        if not _without_batch_job(jobs) and not orphans and batch.clock.now_s > max(batch.listed_at_s.values()):
            break
    assert doubts > jobs // 50, "hardly an answer was lost"
    assert len(batch.jobs) > jobs, "not one submit took effect twice"
    reconcile(batch=batch, apply_changes=True)
    assert Counter(name for name, _ in batch.alive()).most_common(1)[0][1] == 1
    assert Job.objects.filter(state=JobState.QUEUED, attempts__state="SUBMITTED").count() == jobs
    assert {id_ for _, id_ in batch.alive()} == set(Attempt.objects.values_list("batch_job_id", flat=True))


@STORMS
def test_no_orphan_is_left_when_reconcile_comes_once_after_a_storm_of_doubts(jobs: int, seed: int) -> None:
    batch = AmbiguousBatch(seed)
    _ask_for(jobs)
    for _ in range(16):
        batch.pass_time()
        submit_due(batch=batch)
        resolve_ambiguous(batch=batch)
    for _ in range(20):
        # Time enough for ListJobs to catch up, and for orphans to be older than the settle window.
        batch.pass_time()
    assert _orphans(batch)
    reconcile(batch=batch, apply_changes=True)
    assert not _orphans(batch)
    assert max(Counter(name for name, _ in batch.alive()).values()) == 1


def _orphans(batch: AmbiguousBatch) -> list[str]:
    """Ids of Batch jobs that are not over and that no live attempt has, nor may still adopt."""
    live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
    owned = set(live.values_list("batch_job_id", flat=True))
    ambiguous = set(live.filter(batch_job_id=None).values_list("batch_job_name", flat=True))
    return [id_ for name, id_ in batch.alive() if id_ not in owned and name not in ambiguous]


def _ask_for(jobs: int) -> None:
    Video.objects.bulk_create(Video(title="v", source=f"sources/{number}.mp4") for number in range(jobs))
    request_missing_jobs(limit=jobs)


def _without_batch_job(jobs: int) -> int:
    return jobs - Attempt.objects.filter(state="SUBMITTED").count()
