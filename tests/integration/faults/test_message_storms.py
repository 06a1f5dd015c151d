"""Message storms, a wake-up delivered repeatedly and messages of two versions in a rolling deployment: all harmless."""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tasks.schedule.ticks import SUBMIT
from tests.factories import uploaded_video
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import (
    capture_wakeup,
    push_raw,
    queued_count,
    unacked_count,
    with_arguments,
    with_headers,
)
from tests.integration.celery_nodes import NodeProcess, worker_process
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.polling import wait_for
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import RunningSite

DELIVERIES = 40
MESSAGES = 300
VIDEOS = 10
END_LIMIT_S = 90.0


@pytest.fixture
def site_environment(proxied_fake_containers: dict[str, str]) -> dict[str, str]:
    return proxied_fake_containers


@pytest.fixture
def more_workers(site_environment: dict[str, str], tmp_path: Path) -> Iterator[list[NodeProcess]]:
    workers = [worker_process(site_environment, tmp_path, name=f"more{number}") for number in range(3)]
    try:
        for worker in workers:
            worker.ready()
        yield workers
    finally:
        for worker in workers:
            worker.teardown()


@pytest.fixture
def message(running_site: RunningSite) -> dict[str, Any]:
    """Return a captured wake-up message. Afterwards the site's worker runs again; its beat does not."""
    running_site.beat.kill("SIGKILL")
    running_site.worker.kill("SIGKILL")
    wakeup = capture_wakeup()
    running_site.worker.restart()
    return wakeup


@pytest.mark.long
def test_job_is_submitted_once_when_a_wakeup_is_delivered_repeatedly(
    *,
    running_site: RunningSite,
    message: dict[str, Any],
    more_workers: list[NodeProcess],
    batch_proxy: BatchProxy,
    batch_client: BatchClient,
    record_property: Callable[[str, object], None],
) -> None:
    submitted = batch_proxy.calls("submitjob")
    batch_proxy.withhold_next("submitjob", Withheld.RESPONSE)
    videos = [uploaded_video()]
    for _ in range(DELIVERIES):
        # The same id each time, as when the visibility timeout is shorter than the task.
        push_raw(SUBMIT.queue, with_headers(message))
    batch_proxy.wait_until_withheld()
    workers = [running_site.worker, *more_workers]

    def done() -> list[int]:
        return [worker.logs().count(f"Task batchreel.wake[{message['headers']['id']}] succeeded") for worker in workers]

    wait_for(lambda: sum(done()) == DELIVERIES, limit_s=END_LIMIT_S, what="the end of all deliveries")
    assert sum(count > 0 for count in done()) > 1, "one worker received all of them"
    assert batch_proxy.calls("submitjob") - submitted == 1
    running_site.beat.restart()
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
    assert batch_proxy.calls("submitjob") - submitted == 1
    _count(record_property, faults=DELIVERIES - 1)


VERSIONS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "this version's wake-up": with_headers,
    "a wake-up of a version with more arguments": lambda message: with_arguments(
        message, [], {"video": str(uuid.uuid4())}
    ),
    "a removed task": lambda message: with_headers(message, task="batchreel.drain_submit"),
    "a future task": lambda message: with_headers(message, task="batchreel.notify"),
    "a tick of a version with a time argument": lambda message: with_arguments(
        {**message, "headers": {**message["headers"], "task": "batchreel.observe"}}, [1_700_000_000], {}
    ),
}


@pytest.mark.long
def test_jobs_succeed_once_when_messages_of_two_versions_are_mixed(
    running_site: RunningSite,
    message: dict[str, Any],
    batch_client: BatchClient,
    record_property: Callable[[str, object], None],
) -> None:
    rng = random.Random(2)  # the order of the messages needs no secure randomness
    running_site.beat.restart()
    sent: Counter[str] = Counter()
    videos = []
    for number in range(MESSAGES):
        kind = rng.choice(list(VERSIONS))
        sent[kind] += 1
        fresh = {**message, "headers": {**message["headers"], "id": str(uuid.uuid4())}}
        push_raw(SUBMIT.queue, VERSIONS[kind](fresh))
        if number % (MESSAGES // VIDEOS) == 0:
            with send_wakeups_to(os.environ["REDIS_URL"]):
                videos.append(uploaded_video())
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
    wait_for(lambda: not queued_count() and not unacked_count(), limit_s=END_LIMIT_S, what="the end of all messages")
    log = running_site.worker.logs()
    assert log.count("unregistered task of type") == sent["a removed task"] + sent["a future task"]
    assert running_site.worker.container.status == "running"
    _count(record_property, faults=MESSAGES - sent["this version's wake-up"])


def _count(record_property: Callable[[str, object], None], *, faults: int) -> None:
    """Record counts for the table of promises, once the test has found nothing lost or doubled."""
    for name, count in {"faults": faults, "lost": 0, "doubled": 0}.items():
        record_property(name, count)
