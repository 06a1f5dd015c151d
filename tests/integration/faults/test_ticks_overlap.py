"""Ticks that come twice, at once, late, or while one hangs: each slot's body runs once, and a tick that died holds nothing up."""

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
from tasks.services.ticks.lease import run_tick
from tests.factories import age, uploaded_video
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import waiting_messages
from tests.integration.celery_nodes import beat_process
from tests.integration.fast_settings import QUICK
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite

PERIOD_S = 1.0
"""Of each tick of the quick site."""

LEASE_S = 12
TRIES = 5

BEATS_KILLED = 5


@pytest.fixture
def site_environment(site_environment: dict[str, str], batch_proxy: BatchProxy) -> dict[str, str]:
    """The quick site; its containers ask for more than there is, so that their Batch jobs are asked about at each tick."""
    settings = json.dumps({**QUICK, "tick_lease_s": LEASE_S, "vcpus": 64})
    return {**site_environment, "BATCHREEL": settings, "AWS_ENDPOINT_URL_BATCH": batch_proxy.url}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.long)])
def test_body_runs_once_when_eight_ticks_come_at_once(rounds: int) -> None:
    ran: list[int] = []
    barrier = threading.Barrier(8)

    def come(_: int) -> bool:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return run_tick("rescue", period_s=PERIOD_S, body=lambda lease: ran.append(lease.number))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as workers:
        for number in range(1, rounds + 1):
            assert sum(workers.map(come, range(8))) == 1
            assert ran == list(range(1, number + 1))
            age(Tick, "started_at", seconds=PERIOD_S)


def test_each_slots_body_runs_once_when_two_beats_send_it(
    running_site: RunningSite, site_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = beat_process(site_environment, folder)
    try:
        second.ready()
        begun = watch_ticks(bodies=4)
    finally:
        second.teardown()
    for name, bodies in begun.items():
        assert min(gaps_s(bodies)) >= PERIOD_S / 2, (name, bodies)
    # Both have sent: there were more messages than bodies.
    sent = [log.count("Sending due task batchreel: observe") for log in (running_site.beat.logs(), second.logs())]
    assert min(sent) > 0
    assert Tick.objects.get(name="observe").fence < sum(sent)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_no_slot_is_missed_or_run_twice_when_three_beats_are_killed_in_turn(
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
        begun = watch_ticks(bodies=4 * BEATS_KILLED, limit_s=120)
        killer.join()
    finally:
        for beat in others:
            beat.teardown()
    for name, bodies in begun.items():
        assert min(gaps_s(bodies)) >= PERIOD_S / 2, (name, bodies)
        assert max(gaps_s(bodies)) <= 2 * PERIOD_S, (name, bodies)


def gaps_s(begun: dict[int, datetime]) -> list[float]:
    """The time from one body to the next; the mean of several where some came and went unseen."""
    return [
        (begun[later] - begun[earlier]).total_seconds() / (later - earlier)
        for earlier, later in itertools.pairwise(sorted(begun))
    ]


def watch_ticks(*, bodies: int, limit_s: float = 60) -> dict[str, dict[int, datetime]]:
    """Wait until each tick's body has begun so many times more; its number -> when, by the database's clock."""
    begun: dict[str, dict[int, datetime]] = defaultdict(dict)

    def look() -> bool:
        for name, number, started_at in Tick.objects.values_list("name", "fence", "started_at"):
            begun[name][number] = started_at
        return len(begun) == 4 and all(len(numbers) > bodies for numbers in begun.values())

    wait_for(look, limit_s=limit_s, what=f"{bodies} ticks of each kind")
    return dict(begun)


def test_no_second_body_runs_while_one_hangs_and_the_next_takes_over_when_its_worker_is_killed(
    running_site: RunningSite, batch_proxy: BatchProxy
) -> None:
    uploaded_video()
    wait_for(Attempt.objects.filter(state="SUBMITTED").exists, what="a Batch job to ask about")
    for _ in range(TRIES):
        batch_proxy.withhold_next("describejobs", Withheld.ANSWER)
        batch_proxy.wait_until_withheld()
        asked, number = batch_proxy.calls("describejobs"), Tick.objects.get(name="observe").fence
        came = observe_ticks_over(running_site)
        wait_for(lambda came=came: observe_ticks_over(running_site) >= came + 2, what="two ticks that found it held")
        if batch_proxy.calls("describejobs") == asked:
            break
        # After four seconds the call is made again: on a slow machine before two ticks have come.
    assert (batch_proxy.calls("describejobs"), Tick.objects.get(name="observe").fence) == (asked, number)

    running_site.worker.kill("SIGKILL")
    running_site.worker.restart()
    wait_for(lambda: batch_proxy.calls("describejobs") > asked, limit_s=LEASE_S + 60, what="the tick that takes over")
    assert Tick.objects.get(name="observe").fence > number


def observe_ticks_over(site: RunningSite) -> int:
    """How many observe ticks have come to their end in the worker, with or without having run their body."""
    return len(re.findall(r"Task batchreel\.observe\[[\w-]+\] succeeded", site.worker.logs()))


def test_no_stale_tick_runs_when_workers_were_away(running_site: RunningSite) -> None:
    wait_for(lambda: Tick.objects.exclude(finished_at=None).count() == 4, what="the first ticks")
    running_site.worker.kill("SIGKILL")
    wait_for(lambda: len(waiting_messages()) >= 10, what="ten ticks that nobody fetches")
    running_site.beat.kill("SIGKILL")
    stale = {message["headers"]["id"]: message["headers"]["expires"] for message in waiting_messages()}
    assert all(stale.values()), "some never get stale"
    last_expiry = max(map(datetime.fromisoformat, stale.values()))
    wait_for(lambda: datetime.now(UTC) > last_expiry, what="the age at which all of them are stale")
    numbers = dict(Tick.objects.values_list("name", "fence"))

    running_site.worker.restart()
    wait_for(lambda: not waiting_messages(), what="an empty queue")
    ended = r"Task batchreel\.\w+\[([\w-]+)\] (?:succeeded|raised)|Discarding revoked task: batchreel\.\w+\[([\w-]+)\]"

    def over() -> set[str]:
        return {ran or dropped for ran, dropped in re.findall(ended, running_site.worker.logs())}

    wait_for(lambda: stale.keys() <= over(), what="the end of all stale ticks")
    assert dict(Tick.objects.values_list("name", "fence")) == numbers
    assert not [name for name in stale if f"[{name}] succeeded" in running_site.worker.logs()]

    running_site.beat.restart()
    wait_for(
        lambda: all(Tick.objects.get(name=name).fence > number for name, number in numbers.items()), what="new ticks"
    )
