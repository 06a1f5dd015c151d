"""Redis refuses connections or hangs: saving fifty videos barely waits, and all are submitted once Redis is back."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from tasks import wakeup
from tasks.models import Attempt, Video
from tests.integration.dedicated_redis import DedicatedRedis, worker_has_ended
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import submitted_names
from tests.polling import assert_quick_once, wait_for
from tests.wakeup_broker import BOUND_S, finish_wakeups, send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import RunningSite

VIDEOS = 50

SUBMITTED_LIMIT_S = 60.0
"""Counted from the moment when Redis is back."""


@pytest.fixture
def site_environment(site_environment: dict[str, str], dedicated_redis: DedicatedRedis) -> dict[str, str]:
    """Return the environment of the fast site on the dedicated Redis, whose jobs need more vCPUs than the queue has."""
    unthrottled = {"vcpus": 64, "max_in_batch": 1000}
    return {
        **site_environment,
        "REDIS_URL": dedicated_redis.url,
        "BATCHREEL": json.dumps({**FAST_SETTINGS, **unthrottled}),
    }


def one_by_one() -> list[Video]:
    """Save the videos as a request in which each save is its own transaction."""
    return [save_video(number) for number in range(VIDEOS)]


@transaction.atomic
def in_one_transaction() -> list[Video]:
    """Save the videos as a request that is one transaction."""
    return [save_video(number) for number in range(VIDEOS)]


_LONG = pytest.mark.long


def save_video(number: int) -> Video:
    return Video.objects.create(title=f"Lecture {number}", source=f"sources/{number}.mp4")


def time_request(request: Callable[[], list[Video]]) -> tuple[list[Video], float]:
    """Run the request, and return its videos and its duration in seconds."""
    started_s = time.monotonic()
    return request(), time.monotonic() - started_s


@pytest.mark.few(1)
@pytest.mark.usefixtures("wakeups_are_sent")
@pytest.mark.parametrize(
    ("break_redis", "restore_redis", "request_of_fifty"),
    [
        pytest.param(DedicatedRedis.stop, DedicatedRedis.start, one_by_one, id="refusing-one_by_one", marks=_LONG),
        pytest.param(DedicatedRedis.stop, DedicatedRedis.start, in_one_transaction, id="refusing-in_one_transaction"),
        pytest.param(DedicatedRedis.freeze, DedicatedRedis.thaw, one_by_one, id="frozen-one_by_one"),
        pytest.param(
            DedicatedRedis.freeze, DedicatedRedis.thaw, in_one_transaction, id="frozen-in_one_transaction", marks=_LONG
        ),
    ],
)
def test_fifty_saves_barely_wait_and_are_submitted_when_redis_was_down(
    *,
    break_redis: Callable[[DedicatedRedis], None],
    restore_redis: Callable[[DedicatedRedis], None],
    request_of_fifty: Callable[[], list[Video]],
    dedicated_redis: DedicatedRedis,
    running_site: RunningSite,
    batch_client: BatchClient,
) -> None:
    with send_wakeups_to(dedicated_redis.url):
        # How long the saves take without an outage, on a machine that may be busy.
        videos, saves_s = time_request(request_of_fifty)
        break_redis(dedicated_redis)

        def once() -> float:
            finish_wakeups()
            more, took_s = time_request(request_of_fifty)
            videos.extend(more)
            assert not wakeup.circuit_breaker.is_closed(), "the request did not notice that Redis is unavailable"
            return took_s - saves_s

        assert_quick_once(once, limit_s=BOUND_S)
    restore_redis(dedicated_redis)

    submitted = Attempt.objects.filter(job__video__in=videos, state="SUBMITTED", batch_job_id__isnull=False)

    def poll() -> bool:
        if worker_has_ended(running_site):
            running_site.worker.restart()
        return submitted.count() == len(videos)

    wait_for(poll, limit_s=SUBMITTED_LIMIT_S, what=f"the submission of {len(videos)} jobs")
    assert Attempt.objects.count() == len(videos)
    names = submitted_names(batch_client, submitted.values_list("job_id", flat=True))
    assert len(names) == len(set(names)) == len(videos)
