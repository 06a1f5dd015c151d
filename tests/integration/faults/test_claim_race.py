"""Many processes take due jobs concurrently on PostgreSQL: each job is granted one attempt, and none is skipped."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.db import connection

from tasks.models import Attempt, Job, Video
from tasks.services.requests.request import request_missing_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)

ROUND_LIMIT_S = 120


class Submitters:
    """Processes of `racing_submitter` that wait for the start signal."""

    def __init__(self, count: int, environment: dict[str, str], stack: ExitStack) -> None:
        self._processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.integration.faults.racing_submitter"],
                    cwd=settings.BASE_DIR,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        stack.callback(self._end)
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def take_all(self) -> list[int]:
        """Start a round in all processes at once, and return how many attempts each took."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [int(process.stdout.readline()) for process in self._processes if process.stdout]

    def _end(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture
def environment(program_environment: dict[str, str]) -> dict[str, str]:
    """Return an environment without a SubmitJob rate limit, which other tests check."""
    return {**program_environment, "BATCHREEL": json.dumps({"max_in_batch": 1_000_000})}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.long
@pytest.mark.parametrize(
    ("processes", "jobs", "rounds"),
    [
        (4, 50, 2),
        pytest.param(16, 1_000, 20, marks=[pytest.mark.long, pytest.mark.timeout(20 * ROUND_LIMIT_S)]),
    ],
)
def test_each_job_is_granted_once_when_processes_race_for_them(
    *, processes: int, jobs: int, rounds: int, environment: dict[str, str], stack: ExitStack
) -> None:
    submitters = Submitters(processes, environment, stack)
    rounds_with_a_race = 0
    for _ in range(rounds):
        Video.objects.bulk_create(Video(title="v", source=f"sources/{number}.mp4") for number in range(jobs))
        request_missing_jobs(limit=jobs)
        taken = submitters.take_all()
        assert sum(taken) == jobs
        assert Attempt.objects.count() == jobs
        assert Job.objects.filter(fence=1, attempts__number=1, next_attempt_at=None).count() == jobs
        rounds_with_a_race += sum(count > 0 for count in taken) > 1
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {Video._meta.db_table} CASCADE")
    assert rounds_with_a_race > 0, "no round had takes by more than one process"
