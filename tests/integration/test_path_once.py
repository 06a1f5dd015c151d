"""One job and one SubmitJob, however often and however concurrently a video is saved; and few calls, however many jobs there are.

The calls are counted on the wire, between boto3 and the endpoint.
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
from tests.integration.fast_settings import QUICK
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.contract.jobs import Jobs

ENQUEUES = 20
ACTIVE_JOBS = 250


@pytest.fixture
def wire(
    quick: BridgeSettings, settings: Settings, own_queue: Jobs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BatchProxy]:
    """All of this process's calls of AWS Batch, on a queue whose Batch jobs never start: they ask for more vCPUs than it has."""
    settings.VIDEO_BATCH_JOB_QUEUE = own_queue.queue
    settings.BATCHREEL = {**QUICK, "vcpus": 64, "submit_limit": 300, "submit_per_s": 1000, "submit_burst": 1000}
    settings.BATCHREEL |= {"submit_time_limit_s": 120}  # on a slow machine 250 calls take longer than a turn
    with BatchProxy(os.environ["AWS_ENDPOINT_URL"]).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", proxy.url)
        aws.batch_client.cache_clear()
        yield proxy
        aws.batch_client.cache_clear()


def test_one_job_is_submitted_once_when_a_video_is_saved_twenty_times_at_once(wire: BatchProxy) -> None:
    video = unasked_videos(1)[0]
    at_once(lambda: Video.objects.get(pk=video.pk).save(), times=ENQUEUES)
    assert Job.objects.filter(video=video).count() == 1
    assert Event.objects.filter(kind="job.request").count() == 1
    at_once(wake, times=5)
    assert wire.calls("submitjob") == 1
    assert Attempt.objects.get(job__video=video).state == "SUBMITTED"


def test_nothing_is_submitted_when_the_save_is_rolled_back(wire: BatchProxy) -> None:
    with transaction.atomic():
        uploaded_video()
        transaction.set_rollback(True)
    submit_tick()
    assert (Video.objects.count(), Job.objects.count(), Event.objects.count()) == (0, 0, 0)
    assert wire.calls("submitjob") == 0


def test_nothing_is_submitted_when_a_published_video_is_saved_again(wire: BatchProxy) -> None:
    video = published()
    video.save()
    video.title = "A better title"
    video.save(update_fields=["title"])
    submit_tick()
    assert Job.objects.get().pk == video.published_job_id
    assert wire.calls("submitjob") == 0


def test_one_tick_submits_it_when_a_bulk_created_video_sent_no_signal(wire: BatchProxy) -> None:
    video = unasked_videos(1)[0]
    assert not Job.objects.exists()
    submit_tick()
    assert Attempt.objects.get(job__video=video).state == "SUBMITTED"
    assert wire.calls("submitjob") == 1


def test_a_tick_asks_three_times_and_writes_nothing_when_250_jobs_have_not_changed(wire: BatchProxy) -> None:
    unasked_videos(ACTIVE_JOBS)
    assert request_missing_jobs(limit=ACTIVE_JOBS) == ACTIVE_JOBS
    assert submit_due(batch=aws.aws_batch()).submitted == ACTIVE_JOBS
    wait_for(lambda: waiting_for_a_machine() == ACTIVE_JOBS, what="RUNNABLE of all Batch jobs")
    observe_tick()
    assert wire.calls("describejobs") == 3
    assert Attempt.objects.filter(state="SUBMITTED", batch_status="RUNNABLE").count() == ACTIVE_JOBS
    before = row_versions()

    age(Tick, "started_at", seconds=QUICK["observe_tick_s"])
    observe_tick()
    assert wire.calls("describejobs") == 6
    assert row_versions() == before
    assert Tick.objects.get(name="observe").fence == 2


def waiting_for_a_machine() -> int:
    """How many Batch jobs of our queue are RUNNABLE; this does not go through the proxy."""
    pages = boto3.client("batch", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).get_paginator("list_jobs")
    listed = pages.paginate(jobQueue=bridge_settings().job_queue, jobStatus="RUNNABLE")
    return sum(len(page["jobSummaryList"]) for page in listed)


def unasked_videos(count: int) -> list[Video]:
    """Videos with a complete source that nobody has asked a job for."""
    return Video.objects.bulk_create(
        [Video(title=str(number), source=f"sources/{number}.mp4") for number in range(count)]
    )


def at_once(work: Callable[[], object], *, times: int) -> None:
    """Run the work in so many threads, each on a connection of its own, all beginning at the same moment."""
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
    """The transaction that last wrote each row of a job or an attempt, and how many events there are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id::text, xmin::text FROM batchreel_attempt UNION ALL SELECT id::text, xmin::text FROM batchreel_job"
            " UNION ALL SELECT 'events', count(*)::text FROM batchreel_event ORDER BY 1"
        )
        return list(cursor.fetchall())
