"""Many messages: one hint delivered again and again, and those of two versions mixed, as in a rolling deployment. None matters."""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories import uploaded_video
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import a_wakeup, changed, held_messages, put_raw, waiting_count, with_arguments
from tests.integration.celery_nodes import NodeProcess, worker_process
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.polling import wait_for
from tests.wakeup_broker import wakeups_go_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import RunningSite

DELIVERIES = 40
MESSAGES = 1_000
VIDEOS = 20
END_LIMIT_S = 90.0


@pytest.fixture
def site_environment(proxied_stand_ins: dict[str, str]) -> dict[str, str]:
    return proxied_stand_ins


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
    """A hint as it lies in the queue where no worker takes it. The site's worker is back then; its beat is not."""
    running_site.beat.kill("SIGKILL")
    running_site.worker.kill("SIGKILL")
    hint = a_wakeup()
    running_site.worker.restart()
    return hint


def test_job_is_submitted_once_when_four_workers_get_one_wakeup_again_and_again(
    *,
    running_site: RunningSite,
    message: dict[str, Any],
    more_workers: list[NodeProcess],
    batch_proxy: BatchProxy,
    batch_client: BatchClient,
    record_property: Callable[[str, object], None],
) -> None:
    submitted = batch_proxy.calls("submitjob")
    batch_proxy.withhold_next("submitjob", Withheld.ANSWER)
    videos = [uploaded_video()]
    for _ in range(DELIVERIES):
        # The same id each time: what a visibility timeout that is shorter than the task does.
        put_raw("submit", changed(message))
    batch_proxy.wait_until_withheld()
    workers = [running_site.worker, *more_workers]

    def done() -> list[int]:
        return [worker.logs().count(f"Task batchreel.wake[{message['headers']['id']}] succeeded") for worker in workers]

    wait_for(lambda: sum(done()) == DELIVERIES, limit_s=END_LIMIT_S, what="the end of all deliveries")
    assert sum(count > 0 for count in done()) > 1, "one worker alone got them all"
    assert batch_proxy.calls("submitjob") - submitted == 1
    running_site.beat.restart()
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
    assert batch_proxy.calls("submitjob") - submitted == 1
    _count(record_property, faults=DELIVERIES - 1)


VERSIONS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "this version's hint": changed,
    "a hint of a version that says more": lambda message: with_arguments(message, [], {"video": str(uuid.uuid4())}),
    "a task that is no more": lambda message: changed(message, task="batchreel.drain_submit"),
    "a task that is not yet": lambda message: changed(message, task="batchreel.notify"),
    "a tick of a version that says when": lambda message: with_arguments(
        {**message, "headers": {**message["headers"], "task": "batchreel.observe"}}, [1_700_000_000], {}
    ),
}


def test_nothing_is_lost_when_messages_of_two_versions_are_mixed(
    running_site: RunningSite,
    message: dict[str, Any],
    batch_client: BatchClient,
    record_property: Callable[[str, object], None],
) -> None:
    dice = random.Random(2)  # which message comes when is no secret
    running_site.beat.restart()
    mixed: Counter[str] = Counter()
    videos = []
    for number in range(MESSAGES):
        kind = dice.choice(list(VERSIONS))
        mixed[kind] += 1
        named = {**message, "headers": {**message["headers"], "id": str(uuid.uuid4())}}
        put_raw("submit", VERSIONS[kind](named))
        if number % (MESSAGES // VIDEOS) == 0:
            with wakeups_go_to(os.environ["REDIS_URL"]):
                videos.append(uploaded_video())
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
    wait_for(lambda: not waiting_count() and not held_messages(), limit_s=END_LIMIT_S, what="the end of all messages")
    log = running_site.worker.logs()
    assert log.count("unregistered task of type") == mixed["a task that is no more"] + mixed["a task that is not yet"]
    assert running_site.worker.container.status == "running"
    _count(record_property, faults=MESSAGES - mixed["this version's hint"])


def _count(record_property: Callable[[str, object], None], *, faults: int) -> None:
    """For the table of promises. It is called when nothing was found lost or doubled."""
    for name, count in {"faults": faults, "lost": 0, "doubled": 0}.items():
        record_property(name, count)
