"""Messages that no worker can do anything with, and one that kills whoever works on it: each is met once, and nothing is lost."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.factories import uploaded_video
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import (
    a_wakeup,
    changed,
    held_messages,
    put_raw,
    waiting_count,
    with_arguments,
    with_body,
)
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.polling import wait_for
from tests.processes import children_of
from tests.wakeup_broker import wakeups_go_to

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import RunningSite


@pytest.fixture
def site_environment(proxied_stand_ins: dict[str, str]) -> dict[str, str]:
    return proxied_stand_ins


class Poison(NamedTuple):
    """How to make it from a good message, and what the worker's log says of it."""

    made_from: Callable[[dict[str, Any]], bytes]
    told: str


POISONS = {
    "is no JSON at all": Poison(lambda _: b"not JSON", "Unrecoverable error: JSONDecodeError"),
    "is not what kombu writes": Poison(lambda _: b"{}", "(KeyError('properties'))"),
    "is for a task that there is not": Poison(
        lambda message: changed(message, task="shop.charge_customer"),
        "unregistered task of type 'shop.charge_customer'",
    ),
    "is pickled": Poison(
        lambda message: with_body({**message, "content-type": "application/x-python-serialize"}, b"\x80\x04N."),
        "Received invalid task message: Refusing to deserialize",
    ),
    "has a body that is no JSON": Poison(lambda message: with_body(message, b"\x00\x01"), "Can't decode message body"),
    "has arguments that the task does not take": Poison(
        lambda message: with_arguments(message, ["an argument"], {}),
        "raised unexpected: TypeError",
    ),
}


def test_each_is_met_once_and_nothing_is_lost_when_no_worker_understands_a_message(
    running_site: RunningSite, batch_client: BatchClient
) -> None:
    running_site.beat.kill("SIGKILL")
    running_site.worker.kill("SIGKILL")
    good = a_wakeup()
    for poison in POISONS.values():
        put_raw("submit", poison.made_from(good))
    starts = 0

    def drained() -> bool:
        nonlocal starts
        if running_site.worker.container.status == "exited":
            starts += 1
            running_site.worker.restart()
        return not waiting_count() and not held_messages()

    wait_for(drained, limit_s=120, what="the end of all messages")
    assert starts == 2, "what is no text ends a worker: its supervisor starts it again, and the message is gone"
    log = running_site.worker.logs()
    assert {name: log.count(poison.told) for name, poison in POISONS.items()} == dict.fromkeys(POISONS, 1)

    running_site.beat.restart()
    videos = [uploaded_video()]
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)


def test_wakeup_is_run_once_and_nothing_is_lost_when_it_kills_its_process(
    running_site: RunningSite, batch_proxy: BatchProxy, batch_client: BatchClient
) -> None:
    running_site.beat.kill("SIGKILL")
    batch_proxy.withhold_next("submitjob", Withheld.REQUEST)
    with wakeups_go_to(os.environ["REDIS_URL"]):
        videos = [uploaded_video()]
    batch_proxy.wait_until_withheld()
    for child in children_of(running_site.worker.container._program_pid()):
        os.kill(child, signal.SIGKILL)
    running_site.worker.wait_for_log("WorkerLostError")
    wait_for(lambda: not waiting_count() and not held_messages(), what="the end of the hint")
    received = re.findall(r"Task batchreel\.wake\[([\w-]+)\] received", running_site.worker.logs())
    assert len(received) == 1

    running_site.beat.restart()
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)
    assert running_site.worker.container.status == "running"
