"""Fifteen minutes of steady load with one fault per hundred calls: nothing is lost, and nothing grows."""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from django.db import connection

from tasks.models import Job, Video
from tests.factories import uploaded_video
from tests.integration.broker_messages import broker
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import wait_for_all_ends
from tests.processes import children_of
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.batch_faults import Faults
    from tests.integration.celery_nodes import RunningSite

SOAK_S = 900.0
PERIOD_S = 10.0
JOBS_PER_PERIOD = 10
FAULTY_SHARE = 0.01
END_LIMIT_S = 90.0
GROWTH_LIMIT = 1.05
"""Limit of the last third relative to the second: a leak grows for as long as the site runs."""

_PAGE_BYTES = 4096


class Sample(NamedTuple):
    """The site's resource usage at one moment."""

    memory_mib: float
    descriptors: int
    redis_keys: int
    connections: int


@pytest.fixture
def site_environment(site_environment: dict[str, str], fake_container_definition: str) -> dict[str, str]:
    """Return the environment of the fast site with fake containers."""
    return {
        **site_environment,
        "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition,
        "BATCHREEL": json.dumps({**FAST_SETTINGS, "tick_lease_s": 2}),
    }


@pytest.mark.long
@pytest.mark.timeout(int(SOAK_S + 2 * END_LIMIT_S))
@pytest.mark.usefixtures("wakeups_are_sent")
def test_site_neither_grows_nor_loses_jobs_when_it_runs_long_with_faults(
    running_site: RunningSite, faults: Faults, record_property: Callable[[str, object], None]
) -> None:
    for number, kind in enumerate(("error_before", "error_after", "drop_before", "drop_after", "throttle")):
        for operation in ("SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "TerminateJobs"):
            faults.inject(kind, operation=operation, times=None, share=FAULTY_SHARE / 5, seed=number)
    programs = [_pid(running_site.worker), _pid(running_site.beat)]
    videos: list[Video] = []
    samples: list[Sample] = []
    began = time.monotonic()
    while time.monotonic() - began < SOAK_S:
        with send_wakeups_to(os.environ["REDIS_URL"]):
            videos += [uploaded_video() for _ in range(JOBS_PER_PERIOD)]
        threading.Event().wait(PERIOD_S)  # paces the uploads; it waits for nothing
        samples.append(_sample(programs))
    wait_for_all_ends(videos, limit_s=END_LIMIT_S)
    faults.reset()
    sys.stdout.write("\n".join(_curve(samples)) + "\n")
    assert Job.objects.filter(state="SUCCEEDED").count() == len(videos)
    assert Video.objects.filter(published_job__isnull=False).count() == len(videos)
    third = len(samples) // 3
    for name in Sample._fields:
        before = statistics.median(getattr(each, name) for each in samples[third : 2 * third])
        after = statistics.median(getattr(each, name) for each in samples[2 * third :])
        assert after <= before * GROWTH_LIMIT + 1, f"{name} grew from {before} to {after}"
    for name, count in {"lost": 0, "doubled": 0}.items():
        record_property(name, count)


def _pid(node: object) -> int:
    return int(node.container._program_pid())  # type: ignore[attr-defined] # both kinds of nodes have one


def _sample(programs: list[int]) -> Sample:
    processes = [each for program in programs for each in (program, *children_of(program))]
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in processes)
    # The maximum over the processes: a replaced pool child inherits what its parent has opened
    # meanwhile, so the sum would jump.
    descriptors = max(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in processes)
    with broker() as redis, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return Sample(round(pages * _PAGE_BYTES / 2**20, 1), descriptors, redis.dbsize(), cursor.fetchone()[0])


def _curve(samples: list[Sample]) -> list[str]:
    """Return a table with a line per minute."""
    every = round(60 / PERIOD_S)
    head = f"{'minute':>6} {'MiB':>7} {'descriptors':>11} {'Redis keys':>10} {'connections':>11}"
    minutes = enumerate(samples[::every])
    return [head, *(f"{number:>6} {one[0]:>7} {one[1]:>11} {one[2]:>10} {one[3]:>11}" for number, one in minutes)]
