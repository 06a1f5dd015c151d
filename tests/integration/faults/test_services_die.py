"""Worker, beat and Redis die at any moment: every job ends SUCCEEDED once, and no DONE unit is redone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from tasks.models import Attempt, Job
from tests.factories import uploaded_video
from tests.integration.dedicated_redis import worker_has_ended
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.polling import wait_for
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

    from tasks.models import Video
    from tests.integration.celery_nodes import RunningSite
    from tests.integration.dedicated_redis import DedicatedRedis

PENDING = 50

END_LIMIT_S = 60.0


@pytest.fixture
def site_environment(
    site_environment: dict[str, str], dedicated_redis: DedicatedRedis, fake_container_definition: str
) -> dict[str, str]:
    """Return the environment of the fast site on the dedicated Redis, with fake containers.

    A killed tick delays the next ones for 2 s.
    """
    return {
        **site_environment,
        "REDIS_URL": dedicated_redis.url,
        "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition,
        "BATCHREEL": json.dumps({**FAST_SETTINGS, "tick_lease_s": 2}),
    }


def pending_jobs(dedicated_redis: DedicatedRedis, *, count: int) -> list[Video]:
    """Save `count` videos in one transaction, and return them once a worker has taken the first of their jobs."""
    with send_wakeups_to(dedicated_redis.url), transaction.atomic():
        videos = [uploaded_video(title=f"Lecture {number}") for number in range(count)]
    wait_for(Attempt.objects.exists, what="the first attempt")
    return videos


@pytest.mark.usefixtures("wakeups_are_sent")
@pytest.mark.long
def test_jobs_succeed_once_when_redis_loses_all_data_with_fifty_pending(
    dedicated_redis: DedicatedRedis, running_site: RunningSite, batch_client: BatchClient
) -> None:
    videos = pending_jobs(dedicated_redis, count=PENDING)
    dedicated_redis.flush()

    def some_succeeded() -> bool:
        if worker_has_ended(running_site):
            running_site.worker.restart()
        return Job.objects.filter(state="SUCCEEDED").count() > PENDING // 5

    wait_for(some_succeeded, limit_s=END_LIMIT_S, what="the first jobs to succeed")
    dedicated_redis.kill()
    dedicated_redis.start()
    wait_for_all_ends(videos, limit_s=END_LIMIT_S, meanwhile=some_succeeded)
    assert_all_succeeded_once(videos, batch=batch_client)


@pytest.mark.long
@pytest.mark.usefixtures("wakeups_are_sent")
def test_jobs_succeed_once_when_worker_and_beat_are_killed_repeatedly(
    dedicated_redis: DedicatedRedis, running_site: RunningSite, batch_client: BatchClient
) -> None:
    videos = pending_jobs(dedicated_redis, count=30)
    for succeeded in (5, 15):
        running_site.worker.kill("SIGKILL")
        running_site.beat.kill("SIGKILL")
        assert running_site.worker.container.status == running_site.beat.container.status == "exited"
        running_site.worker.restart()
        running_site.beat.restart()
        wait_for(
            lambda enough=succeeded: Job.objects.filter(state="SUCCEEDED").count() >= enough,
            limit_s=END_LIMIT_S,
            what=f"{succeeded} jobs to succeed",
        )
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
