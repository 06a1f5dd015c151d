"""Saving a video many times, even concurrently, causes one job and one SubmitJob; many jobs cause few calls.

The calls are counted by a proxy between boto3 and the endpoint.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from django.db import connection, transaction

from tasks.batch import aws
from tasks.conf import bridge_settings
from tasks.models import Attempt, Event, Job, Tick, Video
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.submit import submit_due
from tasks.tasks import observe_tick, submit_tick, wake
from tests.factories import age, published, uploaded_video
from tests.integration.batch_proxy import BatchProxy
from tests.integration.fast_settings import FAST_SETTINGS
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.contract.jobs import Jobs

ENQUEUES = 20
ACTIVE_JOBS = 250


@pytest.fixture
def counting_proxy(
    fast_settings: BridgeSettings, settings: Settings, dedicated_queue: Jobs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BatchProxy]:
    """Count this process's calls to AWS Batch, on a queue that has too few vCPUs to start any of its jobs."""
    settings.VIDEO_BATCH_JOB_QUEUE = dedicated_queue.queue
    settings.BATCHREEL = {**FAST_SETTINGS, "vcpus": 64, "submit_limit": 300}
    settings.BATCHREEL |= {"submit_time_limit_s": 120}  # on a slow machine 250 calls take longer than one tick allows
    with BatchProxy(os.environ["AWS_ENDPOINT_URL"]).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", proxy.url)
        aws.batch_client.cache_clear()
        yield proxy
        aws.batch_client.cache_clear()


def test_video_is_submitted_once_when_it_is_saved_twenty_times_at_once(counting_proxy: BatchProxy) -> None:
    video = videos_without_jobs(1)[0]
    run_concurrently(lambda: Video.objects.get(pk=video.pk).save(), times=ENQUEUES)
    assert Job.objects.filter(video=video).count() == 1
    assert Event.objects.filter(kind="job.request").count() == 1
    run_concurrently(wake, times=5)
    assert counting_proxy.calls("submitjob") == 1
    assert Attempt.objects.get(job__video=video).state == "SUBMITTED"


def test_video_is_not_submitted_when_its_save_is_rolled_back(counting_proxy: BatchProxy) -> None:
    with transaction.atomic():
        uploaded_video()
        transaction.set_rollback(True)
    submit_tick()
    assert (Video.objects.count(), Job.objects.count(), Event.objects.count()) == (0, 0, 0)
    assert counting_proxy.calls("submitjob") == 0


def test_published_video_is_not_submitted_when_it_is_saved_again(counting_proxy: BatchProxy) -> None:
    video = published()
    video.save()
    video.title = "A better title"
    video.save(update_fields=["title"])
    submit_tick()
    assert Job.objects.get().pk == video.published_job_id
    assert counting_proxy.calls("submitjob") == 0


def test_bulk_created_video_is_submitted_by_a_tick_when_it_sent_no_signal(counting_proxy: BatchProxy) -> None:
    video = videos_without_jobs(1)[0]
    assert not Job.objects.exists()
    submit_tick()
    assert Attempt.objects.get(job__video=video).state == "SUBMITTED"
    assert counting_proxy.calls("submitjob") == 1


@pytest.mark.long
def test_tick_makes_three_calls_and_no_write_when_250_jobs_are_unchanged(counting_proxy: BatchProxy) -> None:
    videos_without_jobs(ACTIVE_JOBS)
    assert request_missing_jobs(limit=ACTIVE_JOBS) == ACTIVE_JOBS
    assert submit_due(batch=aws.aws_batch()).submitted == ACTIVE_JOBS
    wait_for(lambda: runnable_count() == ACTIVE_JOBS, what="RUNNABLE of all Batch jobs")
    observe_tick()
    assert counting_proxy.calls("describejobs") == 3
    assert Attempt.objects.filter(state="SUBMITTED", batch_status="RUNNABLE").count() == ACTIVE_JOBS
    before = row_versions()

    age(Tick, "started_at", seconds=FAST_SETTINGS["observe_tick_s"])
    observe_tick()
    assert counting_proxy.calls("describejobs") == 6
    assert row_versions() == before
    assert Tick.objects.get(name="observe").fence == 2


def runnable_count() -> int:
    """Return the number of RUNNABLE Batch jobs in the queue, without going through the proxy."""
    pages = boto3.client("batch", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).get_paginator("list_jobs")
    listed = pages.paginate(jobQueue=bridge_settings().job_queue, jobStatus="RUNNABLE")
    return sum(len(page["jobSummaryList"]) for page in listed)


def videos_without_jobs(count: int) -> list[Video]:
    """Create videos that have a complete source but no job."""
    return Video.objects.bulk_create(
        [Video(title=str(number), source=f"sources/{number}.mp4") for number in range(count)]
    )


def run_concurrently(work: Callable[[], object], *, times: int) -> None:
    """Run the work in `times` threads that start at the same moment, each on its own connection."""
    barrier = threading.Barrier(times)

    def run() -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        for done in [threads.submit(run) for _ in range(times)]:
            done.result(timeout=40)


def row_versions() -> list[tuple[Any, ...]]:
    """Return the id of the last transaction that wrote each job and attempt row, and the number of events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id::text, xmin::text FROM batchreel_attempt UNION ALL SELECT id::text, xmin::text FROM batchreel_job"
            " UNION ALL SELECT 'events', count(*)::text FROM batchreel_event ORDER BY 1"
        )
        return list(cursor.fetchall())
