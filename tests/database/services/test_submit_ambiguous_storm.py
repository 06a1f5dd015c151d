"""Every third submission is ambiguous, but each job gets one Batch job, and orphans end soon."""

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

QUICK_JOBS, LONG_JOBS = 60, 500
AMBIGUOUS_SHARE = 0.3
STEP_S = 15
REAP_EACH_STEPS = 4
ORPHAN_LIMIT_S = 180
MAX_STEPS = 120
LAGS_S = (0, 0, 30, 150)
"""How long ListJobs omits Batch jobs of lost responses; the last exceeds both lookups."""


class AmbiguousBatch(SimulatedBatch):
    """Simulated AWS Batch that loses three of ten SubmitJob responses, half of them after the effect."""

    def __init__(self, seed: int) -> None:
        super().__init__(VirtualClock())
        self._random = random.Random(seed)
        self.listed_at_s: dict[str, float] = {}

    def submit(self, submission: Submission) -> str:
        before = set(self.jobs)
        lost = self._random.random() < AMBIGUOUS_SHARE
        self.submit_fault = self._random.choice(("lost before", "lost after, not listed")) if lost else ""
        try:
            return super().submit(submission)
        finally:
            for new in set(self.jobs) - before:
                self.listed_at_s[new] = self.clock.now_s + (self._random.choice(LAGS_S) if lost else 0)

    def pass_time(self) -> None:
        self.clock.advance(STEP_S)
        for batch_job_id, job in self.jobs.items():
            job.listed = self.clock.now_s >= self.listed_at_s[batch_job_id]

    def alive(self) -> Iterator[tuple[str, str]]:
        """Return name and id of each Batch job that has not ended."""
        return ((job.name, job.batch_job_id) for job in self.jobs.values() if not job.is_over)


STORMS = pytest.mark.parametrize(
    ("jobs", "seed"),
    [(QUICK_JOBS, 1), *(pytest.param(LONG_JOBS, seed, marks=pytest.mark.long) for seed in (1, 2, 3))],
)


@pytest.fixture(autouse=True)
def _no_limits(settings: Settings) -> None:
    settings.BATCHREEL = {"max_in_batch": 10_000, "submit_max_failures": 100}


@pytest.mark.long
@STORMS
def test_jobs_get_one_batch_job_each_when_submissions_are_ambiguous(jobs: int, seed: int) -> None:
    batch = AmbiguousBatch(seed)
    _request_jobs(jobs)
    orphan_since_s: dict[str, float] = {}
    max_ambiguous = 0
    for step in itertools.count():
        assert step < MAX_STEPS, f"{_without_batch_job(jobs)} jobs are without a Batch job"
        batch.pass_time()
        submit_due(batch=batch)
        resolve_ambiguous(batch=batch)
        if step % REAP_EACH_STEPS == 0:
            reap_batch_jobs(batch=batch, limit=50)
        orphans = _orphans(batch)
        # A Batch job is invisible until ListJobs shows it.
        orphan_since_s = {
            each: orphan_since_s.get(each, max(batch.clock.now_s, batch.listed_at_s[each])) for each in orphans
        }
        late = [each for each, since_s in orphan_since_s.items() if batch.clock.now_s - since_s > ORPHAN_LIMIT_S]
        assert not late, f"not terminated after {ORPHAN_LIMIT_S} s: {late}"
        max_ambiguous = max(max_ambiguous, Attempt.objects.filter(state="SUBMITTING", submit_at=None).count())
        if not _without_batch_job(jobs) and not orphans and batch.clock.now_s > max(batch.listed_at_s.values()):
            break
    assert max_ambiguous > jobs // 50, "hardly any response was lost"
    assert len(batch.jobs) > jobs, "no submission took effect twice"
    reconcile(batch=batch, apply_changes=True)
    assert Counter(name for name, _ in batch.alive()).most_common(1)[0][1] == 1
    assert Job.objects.filter(state=JobState.QUEUED, attempts__state="SUBMITTED").count() == jobs
    assert {id_ for _, id_ in batch.alive()} == set(Attempt.objects.values_list("batch_job_id", flat=True))


@pytest.mark.long
@STORMS
def test_orphans_are_terminated_when_reconcile_runs_after_a_storm(jobs: int, seed: int) -> None:
    batch = AmbiguousBatch(seed)
    _request_jobs(jobs)
    for _ in range(16):
        batch.pass_time()
        submit_due(batch=batch)
        resolve_ambiguous(batch=batch)
    for _ in range(20):
        # Enough time for ListJobs to catch up, and for orphans to exceed their grace period.
        batch.pass_time()
    assert _orphans(batch)
    reconcile(batch=batch, apply_changes=True)
    assert not _orphans(batch)
    assert max(Counter(name for name, _ in batch.alive()).values()) == 1


def _orphans(batch: AmbiguousBatch) -> list[str]:
    """Return ids of running Batch jobs that no live attempt has or may still adopt."""
    live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
    owned = set(live.values_list("batch_job_id", flat=True))
    ambiguous = set(live.filter(batch_job_id=None).values_list("batch_job_name", flat=True))
    return [id_ for name, id_ in batch.alive() if id_ not in owned and name not in ambiguous]


def _request_jobs(jobs: int) -> None:
    Video.objects.bulk_create(Video(title="v", source=f"sources/{number}.mp4") for number in range(jobs))
    request_missing_jobs(limit=jobs)


def _without_batch_job(jobs: int) -> int:
    return jobs - Attempt.objects.filter(state="SUBMITTED").count()
