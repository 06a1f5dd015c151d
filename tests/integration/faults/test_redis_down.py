"""Redis refuses, or swallows everything: whoever saves fifty videos hardly waits, and all are submitted once it is back."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from tasks import wakeup
from tasks.models import Attempt, Video
from tests.integration.dedicated_redis import OwnRedis, has_ended
from tests.integration.fast_settings import QUICK
from tests.integration.faults.final_state import submitted_names
from tests.polling import assert_quick_once, wait_for
from tests.wakeup_broker import BOUND_S, forget_wakeups, wakeups_go_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import RunningSite

VIDEOS = 50

SUBMITTED_LIMIT_S = 60.0
"""After Redis is back."""


@pytest.fixture
def site_environment(site_environment: dict[str, str], own_redis: OwnRedis) -> dict[str, str]:
    """The quick site on the Redis of this test. Its containers ask for more than there is, so that none starts."""
    unthrottled = {"vcpus": 64, "submit_per_s": 1000, "submit_burst": 1000}
    return {**site_environment, "REDIS_URL": own_redis.url, "BATCHREEL": json.dumps({**QUICK, **unthrottled})}


def one_by_one() -> list[Video]:
    """A request in which each save is a transaction of its own."""
    return [saved(number) for number in range(VIDEOS)]


@transaction.atomic
def in_one_transaction() -> list[Video]:
    """A request that is one transaction."""
    return [saved(number) for number in range(VIDEOS)]


def saved(number: int) -> Video:
    return Video.objects.create(title=f"Lecture {number}", source=f"sources/{number}.mp4")


def timed(request: Callable[[], list[Video]]) -> tuple[list[Video], float]:
    """The request's videos, and its seconds."""
    started_s = time.monotonic()
    return request(), time.monotonic() - started_s


@pytest.mark.usefixtures("wakeups_are_sent")
@pytest.mark.parametrize("request_of_fifty", [one_by_one, in_one_transaction])
@pytest.mark.parametrize(
    ("leave", "come_back"),
    [(OwnRedis.stop, OwnRedis.start), (OwnRedis.freeze, OwnRedis.thaw)],
    ids=["refusing", "frozen"],
)
def test_fifty_videos_are_saved_at_once_and_all_submitted_later_when_redis_was_away(
    *,
    leave: Callable[[OwnRedis], None],
    come_back: Callable[[OwnRedis], None],
    request_of_fifty: Callable[[], list[Video]],
    own_redis: OwnRedis,
    running_site: RunningSite,
    batch_client: BatchClient,
) -> None:
    with wakeups_go_to(own_redis.url):
        # So long do the saves take by themselves, on a machine that may have other work.
        videos, saves_s = timed(request_of_fifty)
        leave(own_redis)

        def once() -> float:
            forget_wakeups()
            more, took_s = timed(request_of_fifty)
            videos.extend(more)
            assert not wakeup.breaker.is_closed(), "the request met no Redis that was away"
            return took_s - saves_s

        assert_quick_once(once, limit_s=BOUND_S)
    come_back(own_redis)

    submitted = Attempt.objects.filter(job__video__in=videos, state="SUBMITTED", batch_job_id__isnull=False)

    def look() -> bool:
        if has_ended(running_site):
            running_site.worker.restart()
        return submitted.count() == len(videos)

    wait_for(look, limit_s=SUBMITTED_LIMIT_S, what=f"the submission of {len(videos)} jobs")
    assert Attempt.objects.count() == len(videos)
    names = submitted_names(batch_client, submitted.values_list("job_id", flat=True))
    assert len(names) == len(set(names)) == len(videos)
