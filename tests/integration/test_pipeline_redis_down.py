"""Redis is down: saving a video neither fails nor blocks, and the next tick submits it once Redis is back, empty."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from project.local.servers.redis import redis_url
from tasks.models import Attempt, Job, Tick, Video
from tests.integration.broker_messages import queued_messages, unacked_count
from tests.integration.dedicated_redis import worker_has_ended
from tests.integration.pipeline_videos import JOB_LIMIT_S, event_kinds, upload
from tests.polling import wait_for
from tests.wakeup_broker import assert_no_wait_for_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite
    from tests.integration.dedicated_redis import DedicatedRedis

pytestmark = pytest.mark.usefixtures("wakeups_are_sent")


@pytest.fixture
def site_environment(site_environment: dict[str, str], dedicated_redis: DedicatedRedis) -> dict[str, str]:
    """Return the environment of the fast site on the dedicated Redis."""
    return {**site_environment, "REDIS_URL": dedicated_redis.url}


def submit_ticks() -> int:
    """Return the number of submit ticks so far."""
    return Tick.objects.filter(name="submit").values_list("fence", flat=True).first() or 0


def stop_between_messages(dedicated_redis: DedicatedRedis, site: RunningSite) -> int:
    """Stop Redis while no message is in flight, so that no further tick runs; return the number of submit ticks so far.

    A worker that loses Redis runs messages that it had received only after it has reconnected.
    """
    site.beat.kill("SIGSTOP")

    def poll() -> bool:
        pending = (
            queued_messages(dedicated_redis.url)
            or unacked_count(dedicated_redis.url)
            or _unfinished_ids(site.worker.logs())
        )
        return not pending

    wait_for(poll, limit_s=JOB_LIMIT_S, what="the end of all messages")
    dedicated_redis.stop()
    site.beat.kill("SIGCONT")
    return submit_ticks()


def wait_for_submission(site: RunningSite, job: Job) -> Attempt:
    """Wait for the job's submission, and restart the worker if it exits, as a supervisor would."""
    submitted = Attempt.objects.filter(job=job, batch_job_id__isnull=False)

    def poll() -> Attempt | None:
        if worker_has_ended(site):
            site.worker.restart()
        return submitted.first()

    return wait_for(poll, limit_s=JOB_LIMIT_S, what="the submission")


def _unfinished_ids(log: str) -> set[str]:
    """Return the ids of messages that the worker's log shows as received, but neither as finished nor as discarded."""
    received = set(re.findall(r"Task batchreel\.\w+\[([\w-]+)\] received", log))
    done = set(re.findall(r"Task batchreel\.\w+\[([\w-]+)\] (?:succeeded|raised)", log))
    discarded = set(re.findall(r"Discarding revoked task: batchreel\.\w+\[([\w-]+)\]", log))
    return received - done - discarded


@contextmanager
def unresponsive_redis() -> Iterator[str]:
    """Yield the URL of a server that accepts all connections, and neither reads nor responses."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield redis_url(silent.getsockname()[1])


@pytest.mark.long
def test_saved_video_is_submitted_by_the_next_tick_when_redis_was_down(
    dedicated_redis: DedicatedRedis, running_site: RunningSite, short_clip: Path
) -> None:
    ticks_before = stop_between_messages(dedicated_redis, running_site)
    videos: list[Video] = []
    assert_no_wait_for_redis(
        lambda: videos.append(upload(short_clip)), redis_away=lambda: nullcontext(dedicated_redis.url)
    )
    job = Job.objects.get(video=videos[-1])
    assert (job.state, event_kinds(job)) == ("QUEUED", ["job.request"])
    assert submit_ticks() == ticks_before, "a tick ran while Redis was down"

    dedicated_redis.start()
    attempt = wait_for_submission(running_site, job)
    assert attempt.number == 1
    assert submit_ticks() > ticks_before
    assert "Task batchreel.wake[" not in running_site.worker.logs()


@pytest.mark.usefixtures("fast_settings")
def test_save_is_fast_and_succeeds_when_redis_does_not_respond(short_clip: Path) -> None:
    videos: list[Video] = []

    def save() -> None:
        videos.extend(upload(short_clip, title=f"Lecture {number}") for number in range(5))

    assert_no_wait_for_redis(save, redis_away=unresponsive_redis)
    assert Job.objects.filter(video__in=videos, state="QUEUED").count() == len(videos)
