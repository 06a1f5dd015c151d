"""The connections of worker and beat are cut at random COMMITs: every job ends SUCCEEDED once."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.factories import uploaded_video
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.integration.faults.postgres_proxy import Cut, PostgresProxy
from tests.polling import wait_for
from tests.wakeup_broker import send_wakeups_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch import BatchClient

JOBS = 8

CUTS = 12


@pytest.fixture
def proxy(program_environment: dict[str, str]) -> Iterator[PostgresProxy]:
    with PostgresProxy(program_environment["DATABASE_URL"]).running() as proxy:
        yield proxy


class RandomCuts:
    """Cuts about every second COMMIT, until `cuts` COMMITs were cut.

    The choice is random: a fixed count could synchronize with the ticks and always cut the same
    commit of each.
    """

    def __init__(self, cuts: int) -> None:
        self.remaining = cuts
        self._rng = random.Random(cuts)

    def __call__(self, _: int) -> Cut | None:
        cut = self._rng.choice((None, None, *Cut)) if self.remaining else None
        self.remaining -= cut is not None
        return cut


@pytest.fixture
def site_environment(
    site_environment: dict[str, str], fake_container_definition: str, proxy: PostgresProxy
) -> dict[str, str]:
    """Return the environment of the fast site behind the proxy, with fake containers.

    A failed tick delays the next ones for a second.
    """
    return {
        **site_environment,
        "DATABASE_URL": proxy.url,
        "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition,
        "BATCHREEL": json.dumps({**FAST_SETTINGS, "tick_lease_s": 1}),
    }


@pytest.mark.long
@pytest.mark.usefixtures("running_site", "wakeups_are_sent")
def test_every_job_succeeds_once_when_commits_of_worker_and_beat_are_cut(
    proxy: PostgresProxy, batch_client: BatchClient
) -> None:
    proxy.decide = random_cuts = RandomCuts(CUTS)
    with send_wakeups_to(os.environ["REDIS_URL"]):
        videos = [uploaded_video(title=f"Lecture {number}") for number in range(JOBS)]
    wait_for(lambda: not random_cuts.remaining, limit_s=40, what=f"{CUTS} cuts")
    wait_for_all_ends(videos, limit_s=40)
    assert_all_succeeded_once(videos, batch=batch_client)
