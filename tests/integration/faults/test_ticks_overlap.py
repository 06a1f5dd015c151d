"""Duplicate, concurrent, late or hanging ticks: each slot's body runs once, and a dead tick blocks nothing."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from tasks.models import Attempt, Tick
from tasks.schedule.ticks import TICKS
from tasks.services.ticks.lease import run_tick
from tests.factories import age, uploaded_video
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import queued_messages
from tests.integration.celery_nodes import beat_process
from tests.integration.fast_settings import FAST_SETTINGS
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite

PERIOD_S = 1.0
"""Period of each tick of the fast site."""

LEASE_S = 12
TRIES = 5

BEATS_KILLED = 5


@pytest.fixture
def site_environment(site_environment: dict[str, str], batch_proxy: BatchProxy) -> dict[str, str]:
    """Return the environment of the fast site, whose jobs never start for lack of vCPUs; each tick describes them."""
    settings = json.dumps({**FAST_SETTINGS, "tick_lease_s": LEASE_S, "vcpus": 64})
    return {**site_environment, "BATCHREEL": settings, "AWS_ENDPOINT_URL_BATCH": batch_proxy.url}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.long)])
def test_tick_body_runs_once_when_eight_ticks_run_concurrently(rounds: int) -> None:
    ran: list[int] = []
    barrier = threading.Barrier(8)

    def run_once(_: int) -> bool:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return run_tick("rescue", period_s=PERIOD_S, body=lambda lease: ran.append(lease.number))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as workers:
        for number in range(1, rounds + 1):
            assert sum(workers.map(run_once, range(8))) == 1
            assert ran == list(range(1, number + 1))
            age(Tick, "started_at", seconds=PERIOD_S)


@pytest.mark.long
def test_tick_body_runs_once_per_slot_when_two_beats_send_it(
    running_site: RunningSite, site_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = beat_process(site_environment, folder)
    try:
        second.ready()
        starts = watch_ticks(bodies=4)
    finally:
        second.teardown()
    for name, bodies in starts.items():
        assert min(gaps_s(bodies)) >= PERIOD_S / 2, (name, bodies)
    # Both beats have sent, so there were more messages than bodies.
    sent = [log.count("Sending due task batchreel: observe") for log in (running_site.beat.logs(), second.logs())]
    assert min(sent) > 0
    assert Tick.objects.get(name="observe").fence < sum(sent)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_tick_slots_run_exactly_once_when_three_beats_are_killed_in_turn(
    running_site: RunningSite, site_environment: dict[str, str], tmp_path: Path
) -> None:
    others = []
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        others.append(beat_process(site_environment, tmp_path / name, name=name))
    beats = [running_site.beat.container, *others]
    done = threading.Event()

    def kill_in_turn() -> None:
        for number in range(BEATS_KILLED):
            beats[number % len(beats)].kill("SIGKILL")
            done.wait(2 * PERIOD_S)
            beats[number % len(beats)].restart()
        done.set()

    try:
        for beat in others:
            beat.ready()
        killer = threading.Thread(target=kill_in_turn)
        killer.start()
        starts = watch_ticks(bodies=4 * BEATS_KILLED, limit_s=120)
        killer.join()
    finally:
        for beat in others:
            beat.teardown()
    for name, bodies in starts.items():
        assert min(gaps_s(bodies)) >= PERIOD_S / 2, (name, bodies)
        assert max(gaps_s(bodies)) <= 2 * PERIOD_S, (name, bodies)


def gaps_s(starts: dict[int, datetime]) -> list[float]:
    """Return the seconds between consecutive bodies, averaged if bodies in between were not seen."""
    return [
        (starts[later] - starts[earlier]).total_seconds() / (later - earlier)
        for earlier, later in itertools.pairwise(sorted(starts))
    ]


def watch_ticks(*, bodies: int, limit_s: float = 60) -> dict[str, dict[int, datetime]]:
    """Wait for `bodies` more starts of each tick, and return the database's start times by tick name and number."""
    starts: dict[str, dict[int, datetime]] = defaultdict(dict)

    def poll() -> bool:
        for name, number, started_at in Tick.objects.values_list("name", "fence", "started_at"):
            starts[name][number] = started_at
        return len(starts) == len(TICKS) and all(len(numbers) > bodies for numbers in starts.values())

    wait_for(poll, limit_s=limit_s, what=f"{bodies} ticks of each kind")
    return dict(starts)


@pytest.mark.long
def test_tick_is_exclusive_and_taken_over_when_its_worker_hangs_and_dies(
    running_site: RunningSite, batch_proxy: BatchProxy
) -> None:
    uploaded_video()
    wait_for(Attempt.objects.filter(state="SUBMITTED").exists, what="a Batch job to describe")
    for _ in range(TRIES):
        batch_proxy.withhold_next("describejobs", Withheld.RESPONSE)
        batch_proxy.wait_until_withheld()
        calls_before, number = batch_proxy.calls("describejobs"), Tick.objects.get(name="observe").fence
        completed = completed_observe_ticks(running_site)
        wait_for(
            lambda completed=completed: completed_observe_ticks(running_site) >= completed + 2,
            what="two ticks that found the lease held",
        )
        if batch_proxy.calls("describejobs") == calls_before:
            break
        # boto3 repeats the call after four seconds, on a slow machine before two ticks have run.
    assert (batch_proxy.calls("describejobs"), Tick.objects.get(name="observe").fence) == (calls_before, number)

    running_site.worker.kill("SIGKILL")
    running_site.worker.restart()
    wait_for(
        lambda: batch_proxy.calls("describejobs") > calls_before, limit_s=LEASE_S + 60, what="the tick that takes over"
    )
    assert Tick.objects.get(name="observe").fence > number


def completed_observe_ticks(site: RunningSite) -> int:
    """Return the number of observe ticks that have ended in the worker, whether or not they ran their body."""
    return len(re.findall(r"Task batchreel\.observe\[[\w-]+\] succeeded", site.worker.logs()))


@pytest.mark.long
def test_stale_ticks_are_discarded_when_workers_were_down(running_site: RunningSite) -> None:
    wait_for(lambda: Tick.objects.exclude(finished_at=None).count() == len(TICKS), what="the first ticks")
    running_site.worker.kill("SIGKILL")
    wait_for(lambda: len(queued_messages()) >= 10, what="ten ticks that no worker fetches")
    running_site.beat.kill("SIGKILL")
    stale = {message["headers"]["id"]: message["headers"]["expires"] for message in queued_messages()}
    assert all(stale.values()), "some messages never expire"
    last_expiry = max(map(datetime.fromisoformat, stale.values()))
    wait_for(lambda: datetime.now(UTC) > last_expiry, what="the expiry of all queued ticks")
    numbers = dict(Tick.objects.values_list("name", "fence"))

    running_site.worker.restart()
    wait_for(lambda: not queued_messages(), what="an empty queue")
    ended = r"Task batchreel\.\w+\[([\w-]+)\] (?:succeeded|raised)|Discarding revoked task: batchreel\.\w+\[([\w-]+)\]"

    def ended_ids() -> set[str]:
        return {ran or dropped for ran, dropped in re.findall(ended, running_site.worker.logs())}

    wait_for(lambda: stale.keys() <= ended_ids(), what="the end of all stale ticks")
    assert dict(Tick.objects.values_list("name", "fence")) == numbers
    assert not [name for name in stale if f"[{name}] succeeded" in running_site.worker.logs()]

    running_site.beat.restart()
    wait_for(
        lambda: all(Tick.objects.get(name=name).fence > number for name, number in numbers.items()), what="new ticks"
    )
