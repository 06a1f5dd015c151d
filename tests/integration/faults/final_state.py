"""The required final state after any fault: each job SUCCEEDED once, no DONE unit was redone, nothing still runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tasks.conf import bridge_settings
from tasks.lifecycle.states import ACTIVE_JOB_STATES, LIVE_ATTEMPT_STATES
from tasks.models import Attempt, Event, Job, Unit, Video
from tests.contract.jobs import unfinished_job_ids
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypy_boto3_batch import BatchClient


def wait_for_all_ends(
    videos: Sequence[Video], *, limit_s: float, meanwhile: Callable[[], object] | None = None
) -> None:
    """Wait until each video has a job and none of these is active; call `meanwhile` on each poll, as a supervisor."""

    def poll() -> bool:
        if meanwhile is not None:
            meanwhile()
        jobs = Job.objects.filter(video__in=videos)
        return jobs.count() == len(videos) and not jobs.filter(state__in=ACTIVE_JOB_STATES).exists()

    wait_for(poll, limit_s=limit_s, what=f"the end of {len(videos)} jobs")


def assert_all_succeeded_once(videos: Sequence[Video], *, batch: BatchClient, attempts: int = 1) -> None:
    """Assert `assert_done_once`, that each attempt had one Batch job, and that none of these waits or runs."""
    assert_done_once(videos, attempts=attempts)
    wait_for(lambda: not unfinished_batch_jobs(batch), what="the end of all Batch jobs")
    granted = Attempt.objects.filter(job__video__in=videos)
    names = submitted_names(batch, granted.values_list("job_id", flat=True))
    assert sorted(names) == sorted(granted.values_list("batch_job_name", flat=True))


def assert_done_once(videos: Sequence[Video], *, attempts: int = 1) -> None:
    """Assert that each video shows its only job with `attempts` attempts, each unit finished once, and none is live."""
    jobs = dict(Job.objects.filter(video__in=videos).values_list("pk", "state"))
    assert len(jobs) == len(videos)
    assert Counter(jobs.values()) == {"SUCCEEDED": len(videos)}
    assert not Job.objects.filter(pk__in=jobs).exclude(fence=attempts).exists()
    assert Video.objects.filter(pk__in=[v.pk for v in videos], published_job__in=jobs).count() == len(videos)
    counts = Counter(Event.objects.filter(job_id__in=jobs).values_list("job_id", "kind"))
    for job_id in jobs:
        assert counts[job_id, "job.request"] == counts[job_id, "job.publish"] == 1
        assert counts[job_id, "job.grant"] == counts[job_id, "attempt.claim"] == attempts
    assert set(finished_units(jobs).values()) == {1}, "a unit was finished twice"
    assert not Unit.objects.filter(job__in=jobs).exclude(state="DONE").exists()
    assert not Attempt.objects.filter(job__in=jobs, state__in=LIVE_ATTEMPT_STATES).exists()


def finished_units(jobs: Iterable[object]) -> Counter[tuple[object, str]]:
    """Return how often each unit was finished, by job and position, such as "video 3".

    The events show it: a purge removes the units of an ended job.
    """
    finished = Event.objects.filter(kind="unit.finish", job_id__in=list(jobs))
    return Counter((job_id, " ".join(text.split()[:2])) for job_id, text in finished.values_list("job_id", "text"))


def unfinished_batch_jobs(batch: BatchClient) -> list[str]:
    """Return the ids of the Batch jobs in our queue that wait or run."""
    return unfinished_job_ids(batch, bridge_settings().job_queue)


def submitted_names(batch: BatchClient, jobs: Iterable[object]) -> list[str]:
    """Return the names of all Batch jobs ever submitted to our queue for these jobs, once per submission."""
    prefixes = tuple(f"{bridge_settings().job_name_prefix}-{job_id}-" for job_id in jobs)
    every = _listed(batch, filters=[{"name": "JOB_NAME", "values": [f"{bridge_settings().job_name_prefix}-*"]}])
    return [name for name in every if name.startswith(prefixes)]


def _listed(batch: BatchClient, **which: object) -> list[str]:
    pages = batch.get_paginator("list_jobs").paginate(jobQueue=bridge_settings().job_queue, **which)  # type: ignore[arg-type] # one of two kinds of filter
    return [job["jobName"] for page in pages for job in page["jobSummaryList"]]
