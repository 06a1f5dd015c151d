"""Messages that no worker can process, and one that kills its process: each is delivered once, and nothing is lost."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

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
    with_body,
    with_headers,
)
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.polling import wait_for
from tests.processes import children_of
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import RunningSite


@pytest.fixture
def site_environment(proxied_fake_containers: dict[str, str]) -> dict[str, str]:
    return proxied_fake_containers


class Poison(NamedTuple):
    """How to make a poison message from a valid one, and the text that the worker logs for it."""

    made_from: Callable[[dict[str, Any]], bytes]
    logged: str


POISONS = {
    "is not JSON": Poison(lambda _: b"not JSON", "Unrecoverable error: JSONDecodeError"),
    "is not what kombu writes": Poison(lambda _: b"{}", "(KeyError('properties'))"),
    "is for a task that does not exist": Poison(
        lambda message: with_headers(message, task="shop.charge_customer"),
        "unregistered task of type 'shop.charge_customer'",
    ),
    "is pickled": Poison(
        lambda message: with_body({**message, "content-type": "application/x-python-serialize"}, b"\x80\x04N."),
        "Received invalid task message: Refusing to deserialize",
    ),
    "has a body that is not JSON": Poison(lambda message: with_body(message, b"\x00\x01"), "Can't decode message body"),
    "has arguments that the task does not take": Poison(
        lambda message: with_arguments(message, ["an argument"], {}),
        "raised unexpected: TypeError",
    ),
}


@pytest.mark.long
def test_poison_message_is_delivered_once_when_no_worker_can_process_it(
    running_site: RunningSite, batch_client: BatchClient
) -> None:
    running_site.beat.kill("SIGKILL")
    running_site.worker.kill("SIGKILL")
    good = capture_wakeup()
    for poison in POISONS.values():
        push_raw(SUBMIT.queue, poison.made_from(good))
    starts = 0

    def drained() -> bool:
        nonlocal starts
        if running_site.worker.container.status == "exited":
            starts += 1
            running_site.worker.restart()
        return not queued_count() and not unacked_count()

    wait_for(drained, limit_s=120, what="the end of all messages")
    assert starts == 2, "exactly two messages end the worker, and are gone after its restart"
    log = running_site.worker.logs()
    assert {name: log.count(poison.logged) for name, poison in POISONS.items()} == dict.fromkeys(POISONS, 1)

    running_site.beat.restart()
    videos = [uploaded_video()]
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)


@pytest.mark.long
def test_wakeup_runs_once_and_its_job_succeeds_when_it_kills_its_process(
    running_site: RunningSite, batch_proxy: BatchProxy, batch_client: BatchClient
) -> None:
    running_site.beat.kill("SIGKILL")
    wait_for(lambda: not queued_count() and not unacked_count(), what="the end of the last ticks")
    batch_proxy.withhold_next("submitjob", Withheld.REQUEST)
    with send_wakeups_to(os.environ["REDIS_URL"]):
        videos = [uploaded_video()]
    batch_proxy.wait_until_withheld()
    for child in children_of(running_site.worker.container._program_pid()):
        os.kill(child, signal.SIGKILL)
    running_site.worker.wait_for_log("WorkerLostError")
    wait_for(lambda: not queued_count() and not unacked_count(), what="the end of the wake-up")
    received = re.findall(r"Task batchreel\.wake\[([\w-]+)\] received", running_site.worker.logs())
    assert len(received) == 1

    running_site.beat.restart()
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)
    assert running_site.worker.container.status == "running"
