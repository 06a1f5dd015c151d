"""Workers, beats, Redis, PostgreSQL, containers and AWS calls fail at random: no job is lost, no effect is doubled.

`scripts/chaos` runs only this test; `-k seed-3` runs one seed.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from tasks.lifecycle.states import ACTIVE_JOB_STATES
from tasks.models import Attempt, Event, Job, Unit, Video
from tasks.schedule.sync import sync_entries
from tests.factories import uploaded_video
from tests.integration.celery_nodes import NodeProcess, beat_process, worker_process
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.fake_containers import FakeContainers
from tests.integration.faults.final_state import (
    finished_units,
    submitted_names,
    unfinished_batch_jobs,
)
from tests.polling import wait_for
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tests.batch_faults import Faults
    from tests.integration.dedicated_redis import DedicatedRedis
    from tests.integration.faults.dedicated_postgres import DedicatedPostgres

JOBS = {1: 400, 4: 40}
"""By the number of containers that a job gets."""
AT_ONCE = {1: 400, 4: 4}
"""Jobs that are active at a time: helpers get only what leads leave of the queue's 16 vCPUs."""
VIDEO_UNITS = {1: 2, 4: 40}
FAULTS = 12
WORKERS = 3
BEATS = 2
SEEDS = 8
UNIT_S = {1: 0.1, 4: 0.3}
STEP_LIMIT_S = 60.0
END_LIMIT_S = 180.0
BUSY = {
    **FAST_SETTINGS,
    "tick_lease_s": 2,
    "max_in_batch": 10_000,
    "silence_threshold_s": 4,
    "start_timeout_s": 20,
    "backoff_cap_s": 2,
    "final_status_wait_s": 10,
    "helper_min_work_s": 1,
    "helper_target_s": 25,
}
"""The fake containers' plans say 100 s, whatever their units."""
LOST_AT_ONCE = 3
LOST = ("spot_reclaim", "host_loss", "out_of_memory", "vanish")
CALLS = ("error_before", "error_after", "drop_before", "drop_after", "throttle")
READS = ("empty", "partial", "error_before", "throttle")


class World(NamedTuple):
    """Everything that can be killed or disturbed, and the random number generator."""

    workers: Sequence[NodeProcess]
    beats: Sequence[NodeProcess]
    redis: DedicatedRedis
    postgres: DedicatedPostgres
    faults: Faults
    rng: random.Random
    job_count: int
    at_once: int

    def supervise(self) -> None:
        """Restart what has exited, as systemd or ECS would, and upload more if few jobs are left."""
        for node in (*self.workers, *self.beats):
            if node.status == "exited":
                node.restart()
        room = self.at_once - Job.objects.filter(state__in=ACTIVE_JOB_STATES).count()
        with send_wakeups_to(self.redis.url), transaction.atomic():
            for number in range(Video.objects.count(), self.job_count)[: max(0, room)]:
                uploaded_video(title=f"Lecture {number}")


@pytest.fixture
def fake_containers(transactional_db: None, containers: int) -> Iterator[FakeContainers]:
    """Yield fake containers that take some time for each unit, and that die if the database fails."""
    fatal_errors = (OperationalError, InterfaceError)
    with FakeContainers(
        unit_s=UNIT_S[containers], video_units=VIDEO_UNITS[containers], fatal_errors=fatal_errors
    ).open() as fake_containers:
        yield fake_containers


@pytest.fixture
def site_environment(
    site_environment: dict[str, str],
    dedicated_redis: DedicatedRedis,
    dedicated_postgres: DedicatedPostgres,
    fake_container_definition: str,
    containers: int,
) -> dict[str, str]:
    """Return the environment of a site on the dedicated PostgreSQL and Redis, with fake containers."""
    return {
        **site_environment,
        "DATABASE_URL": dedicated_postgres.url,
        "REDIS_URL": dedicated_redis.url,
        "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition,
        "BATCHREEL": json.dumps({**BUSY, "max_helpers": containers - 1}),
    }


@pytest.fixture
def nodes(site_environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[list[NodeProcess], list[NodeProcess]]]:
    """Yield three running workers and two running beats."""
    sync_entries()
    workers = [worker_process(site_environment, tmp_path, name=f"worker{number}") for number in range(WORKERS)]
    beats = [beat_process(site_environment, tmp_path, name=f"beat{number}") for number in range(BEATS)]
    try:
        for node in (*workers, *beats):
            node.ready()
        yield workers, beats
    finally:
        for node in (*workers, *beats):
            node.teardown()


@pytest.fixture
def world(
    *,
    seed: int,
    nodes: tuple[list[NodeProcess], list[NodeProcess]],
    dedicated_redis: DedicatedRedis,
    dedicated_postgres: DedicatedPostgres,
    faults: Faults,
    containers: int,
) -> World:
    """Return all running parts of the site, with a generator for this seed."""
    workers, beats = nodes
    return World(
        workers,
        beats,
        dedicated_redis,
        dedicated_postgres,
        faults,
        random.Random(seed),
        JOBS[containers],
        AT_ONCE[containers],
    )


def _kill_worker(world: World) -> None:
    world.rng.choice(world.workers).kill("SIGKILL")


def _kill_beat(world: World) -> None:
    world.rng.choice(world.beats).kill("SIGKILL")


def _end_worker(world: World) -> None:
    world.rng.choice(world.workers).kill("SIGTERM")


def _freeze_worker(world: World) -> None:
    worker = world.rng.choice(world.workers)
    worker.kill("SIGSTOP")
    succeeded_before = _succeeded()
    try:
        wait_for(
            lambda: _has_progressed(world, min(world.job_count, succeeded_before + world.job_count // 20)),
            limit_s=STEP_LIMIT_S,
            what="progress without that worker",
        )
    finally:
        worker.kill("SIGCONT")


def _wipe_redis(world: World) -> None:
    world.redis.flush()


def _restart_redis(world: World) -> None:
    world.redis.kill()
    world.redis.start()


def _crash_postgres(world: World) -> None:
    connection.close()
    world.postgres.crash()
    world.postgres.start_again()


def _lose_containers(world: World) -> None:
    """Lose three running containers, each in a random way, and skip those that have ended since the query."""
    running = list(Attempt.objects.filter(state="RUNNING").order_by("pk").values_list("batch_job_id", flat=True))
    lost = 0
    for batch_job_id in world.rng.sample(running, k=len(running)):
        with suppress(AssertionError):
            world.faults.inject(world.rng.choice(LOST), job_id=batch_job_id)
            lost += 1
        if lost == LOST_AT_ONCE:
            return


def _spoil_submits(world: World) -> None:
    world.faults.inject(world.rng.choice(CALLS), operation="SubmitJob", times=5)


def _spoil_reads(world: World) -> None:
    operation = world.rng.choice(["DescribeJobs", "ListJobs"])
    world.faults.inject(world.rng.choice(READS), operation=operation, times=3)


ACTS: tuple[Callable[[World], None], ...] = (
    *(_kill_worker, _kill_beat, _end_worker, _freeze_worker, _wipe_redis, _restart_redis),
    *(_crash_postgres, _lose_containers, _lose_containers, _spoil_submits, _spoil_submits, _spoil_reads),
)
AWS_ACTS = (_lose_containers, _spoil_submits, _spoil_reads)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("wakeups_are_sent")
@pytest.mark.parametrize("containers", JOBS, ids=lambda containers: f"{containers}-containers")
@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed-{seed}")
def test_every_job_succeeds_once_when_everything_dies_at_random(
    world: World, containers: int, batch_client: BatchClient, record_property: Callable[[str, object], None]
) -> None:
    for step, act in enumerate(world.rng.sample(ACTS, k=FAULTS), start=1):
        wait_for(
            lambda due=step * world.job_count // (FAULTS + 2): _has_progressed(world, due),
            limit_s=STEP_LIMIT_S,
            what=act.__name__,
        )
        act(world)
    wait_for(lambda: _has_progressed(world, world.job_count), limit_s=END_LIMIT_S, what="the end of all jobs")

    jobs = list(Job.objects.all())
    assert Counter(job.state for job in jobs) == {"SUCCEEDED": world.job_count}
    assert Video.objects.filter(published_job__in=jobs).count() == world.job_count
    counts = Counter(Event.objects.values_list("job_id", "kind"))
    assert all(counts[job.pk, "job.request"] == counts[job.pk, "job.publish"] == 1 for job in jobs)
    assert not Unit.objects.exclude(state="DONE").exists()
    assert set(finished_units(job.pk for job in jobs).values()) == {1}, "a unit was finished twice"
    wait_for(lambda: not unfinished_batch_jobs(batch_client), limit_s=STEP_LIMIT_S, what="the end of all Batch jobs")
    resubmitted = Counter(Event.objects.filter(kind="attempt.resubmit").values_list("job_id", "attempt_number"))
    names = Counter(submitted_names(batch_client, [job.pk for job in jobs]))
    assert all(
        names[each.batch_job_name] <= 1 + resubmitted[each.job_id, each.number] for each in Attempt.objects.all()
    )
    # The faults must have had an effect.
    recovered = Attempt.objects.filter(helps=None).count() - world.job_count
    assert recovered > 0
    helpers = set(Attempt.objects.exclude(helps=None).values_list("job_id", "number"))
    workers = set(Event.objects.filter(kind="unit.finish").values_list("job_id", "attempt_number"))
    assert len(helpers & workers) >= (world.job_count / 2 if containers > 1 else 0)
    assert any(fault["applied"] for fault in world.faults.request("GET")["faults"])
    # If anything were lost or doubled, this line would not be reached. The fixture `faults` counts
    # the AWS faults.
    acts = sum(act not in AWS_ACTS for act in ACTS)
    for name, count in {"faults": acts, "lost": 0, "doubled": 0, "recovered": recovered}.items():
        record_property(name, count)


def _has_progressed(world: World, due: int) -> bool:
    world.supervise()
    return _succeeded() >= due


def _succeeded() -> int:
    return Job.objects.filter(state="SUCCEEDED").count()
