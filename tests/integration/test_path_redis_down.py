"""Redis goes away: whoever saves a video neither fails nor waits, and once Redis is back, empty, the next tick submits it."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from project.local.servers.redis import redis_url
from tasks.models import Attempt, Job, Tick, Video
from tests.integration.broker_messages import held_messages, waiting_messages
from tests.integration.dedicated_redis import has_ended
from tests.integration.path_videos import JOB_LIMIT_S, told, upload
from tests.polling import wait_for
from tests.wakeup_broker import assert_no_wait_for_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite
    from tests.integration.dedicated_redis import OwnRedis

pytestmark = pytest.mark.usefixtures("wakeups_are_sent")


@pytest.fixture
def site_environment(site_environment: dict[str, str], own_redis: OwnRedis) -> dict[str, str]:
    """The quick site, on the Redis of this test."""
    return {**site_environment, "REDIS_URL": own_redis.url}


def submit_ticks() -> int:
    """How many submit ticks there have been."""
    return Tick.objects.filter(name="submit").values_list("fence", flat=True).first() or 0


def stop_between_messages(own_redis: OwnRedis, site: RunningSite) -> int:
    """Stop Redis while no message is under way, so that no tick can come; count the submit ticks so far.

    A worker that loses Redis runs what it had received only after it found Redis again.
    """
    site.beat.kill("SIGSTOP")

    def look() -> bool:
        under_way = waiting_messages(own_redis.url) or held_messages(own_redis.url) or _in_hand(site.worker.logs())
        return not under_way

    wait_for(look, limit_s=JOB_LIMIT_S, what="the end of all messages")
    own_redis.stop()
    site.beat.kill("SIGCONT")
    return submit_ticks()


def wait_under_a_supervisor(site: RunningSite, job: Job) -> Attempt:
    """Wait for the job's submission; meanwhile, do what a supervisor does, and start the worker again should it end."""
    submitted = Attempt.objects.filter(job=job, batch_job_id__isnull=False)

    def look() -> Attempt | None:
        if has_ended(site):
            site.worker.restart()
        return submitted.first()

    return wait_for(look, limit_s=JOB_LIMIT_S, what="the submission")


def _in_hand(log: str) -> set[str]:
    """The ids of the messages that a worker's log says were received, and does not say were done, or dropped as too old."""
    received = set(re.findall(r"Task batchreel\.\w+\[([\w-]+)\] received", log))
    done = set(re.findall(r"Task batchreel\.\w+\[([\w-]+)\] (?:succeeded|raised)", log))
    dropped = set(re.findall(r"Discarding revoked task: batchreel\.\w+\[([\w-]+)\]", log))
    return received - done - dropped


@contextmanager
def silent_redis() -> Iterator[str]:
    """Something that takes all connections, and neither reads nor answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield redis_url(silent.getsockname()[1])


def test_saved_video_is_submitted_by_the_next_tick_when_redis_was_away(
    own_redis: OwnRedis, running_site: RunningSite, short_clip: Path
) -> None:
    ticks_before = stop_between_messages(own_redis, running_site)
    videos: list[Video] = []
    assert_no_wait_for_redis(lambda: videos.append(upload(short_clip)), redis_away=lambda: nullcontext(own_redis.url))
    job = Job.objects.get(video=videos[-1])
    assert (job.state, told(job)) == ("QUEUED", ["job.request"])
    assert submit_ticks() == ticks_before, "nothing else could have submitted it"

    own_redis.start()
    attempt = wait_under_a_supervisor(running_site, job)
    assert attempt.number == 1
    assert submit_ticks() > ticks_before
    assert "Task batchreel.wake[" not in running_site.worker.logs()


@pytest.mark.usefixtures("quick")
def test_saving_is_quick_and_succeeds_when_redis_answers_nothing(short_clip: Path) -> None:
    videos: list[Video] = []

    def save() -> None:
        videos.extend(upload(short_clip, title=f"Lecture {number}") for number in range(5))

    assert_no_wait_for_redis(save, redis_away=silent_redis)
    assert Job.objects.filter(video__in=videos, state="QUEUED").count() == len(videos)
