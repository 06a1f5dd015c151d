"""Workers are killed or stopped repeatedly in the middle of their work: every job is submitted once, and ends."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tasks.schedule.sync import sync_entries
from tests.factories import uploaded_video
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import unacked_count
from tests.integration.celery_nodes import beat_process, worker_process
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.polling import wait_for
from tests.processes import children_of, is_alive
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tests.integration.celery_nodes import NodeProcess, RunningSite

END_LIMIT_S = 60.0
EXIT_LIMIT_S = 25.0
"""Below the 30 s that ECS and systemd are given before they kill."""


@pytest.fixture
def site_environment(proxied_fake_containers: dict[str, str]) -> dict[str, str]:
    return proxied_fake_containers


@pytest.mark.long
@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_jobs_succeed_once_when_workers_are_killed_before_acknowledging(
    *,
    kills: int,
    running_site: RunningSite,
    batch_proxy: BatchProxy,
    batch_client: BatchClient,
    record_property: Callable[[str, object], None],
) -> None:
    videos = []
    for number in range(kills):
        batch_proxy.withhold_next("submitjob", Withheld.RESPONSE if number % 2 else Withheld.REQUEST)
        with send_wakeups_to(os.environ["REDIS_URL"]):
            videos.append(uploaded_video())
        batch_proxy.wait_until_withheld()
        assert unacked_count() >= 1
        running_site.worker.kill("SIGKILL")
        running_site.worker.restart()
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
    _count(record_property, faults=kills, recovered=kills)


@pytest.mark.long
def test_worker_exits_in_time_when_a_process_of_its_pool_hangs(
    site_environment: dict[str, str], tmp_path: Path
) -> None:
    worker = worker_process({**site_environment, "WORKER_EXIT_LIMIT_S": "2"}, tmp_path)
    try:
        worker.ready()
        pool = children_of(worker._program_pid())
        for process in pool:
            os.kill(process, signal.SIGSTOP)
        worker.kill("SIGTERM")
        wait_for(lambda: worker.status == "exited", limit_s=EXIT_LIMIT_S, what="the worker's end")
        assert "WORKER_EXIT_FORCED" in worker.logs()
        assert not any(is_alive(process) for process in pool)
    finally:
        worker.teardown()


@pytest.fixture
def workers(site_environment: dict[str, str], tmp_path: Path) -> Iterator[list[NodeProcess]]:
    """Yield four running workers, next to a running beat."""
    sync_entries()
    nodes = [worker_process(site_environment, tmp_path, name=f"worker{number}") for number in range(4)]
    beat = beat_process(site_environment, tmp_path)
    try:
        for node in (*nodes, beat):
            node.ready()
        yield nodes
    finally:
        for node in (*nodes, beat):
            node.teardown()


@pytest.mark.long
@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_workers_exit_in_time_and_jobs_succeed_when_all_get_sigterm(
    *,
    rounds: int,
    workers: list[NodeProcess],
    batch_client: BatchClient,
    record_property: Callable[[str, object], None],
) -> None:
    rng = random.Random(1)  # the moments need no secure randomness
    videos = []
    for _ in range(rounds):
        with send_wakeups_to(os.environ["REDIS_URL"]):
            videos += [uploaded_video() for _ in range(4)]
        threading.Event().wait(rng.uniform(0, 0.5))
        started = time.monotonic()
        for worker in workers:
            worker.kill("SIGTERM")
        for worker in workers:
            wait_for(
                lambda worker=worker: worker.status == "exited", limit_s=EXIT_LIMIT_S, what=f"the end of {worker.name}"
            )
        assert time.monotonic() - started < EXIT_LIMIT_S
        for worker in workers:
            worker.restart()
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    assert_all_succeeded_once(videos, batch=batch_client)
    _count(record_property, faults=rounds * len(workers), recovered=len(videos))


def _count(record_property: Callable[[str, object], None], *, faults: int, recovered: int) -> None:
    """Record counts for the table of promises, once the test has found nothing lost or doubled."""
    for name, count in {"faults": faults, "lost": 0, "doubled": 0, "recovered": recovered}.items():
        record_property(name, count)
