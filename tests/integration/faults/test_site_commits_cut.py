"""The connections of worker and beat are cut at COMMIT, at random: every job ends SUCCEEDED, once."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.factories import uploaded_video
from tests.integration.fast_settings import QUICK
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.integration.faults.postgres_proxy import Cut, PostgresProxy
from tests.polling import wait_for
from tests.wakeup_broker import wakeups_go_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch import BatchClient

JOBS = 8

CUTS = 12


@pytest.fixture
def proxy(program_environment: dict[str, str]) -> Iterator[PostgresProxy]:
    with PostgresProxy(program_environment["DATABASE_URL"]).running() as proxy:
        yield proxy


class Draw:
    """Cuts about every second COMMIT, until so many were cut.

    Drawn, not counted: a count falls into step with the ticks, and then meets the same commit of each.
    """

    def __init__(self, cuts: int) -> None:
        self.left = cuts
        self._dice = random.Random(cuts)

    def __call__(self, _: int) -> Cut | None:
        cut = self._dice.choice((None, None, *Cut)) if self.left else None
        self.left -= cut is not None
        return cut


@pytest.fixture
def site_environment(
    site_environment: dict[str, str], stand_in_definition: str, proxy: PostgresProxy
) -> dict[str, str]:
    """The quick site behind the proxy, with stand-ins for containers. A tick that fails holds up the next ones for a second."""
    return {
        **site_environment,
        "DATABASE_URL": proxy.url,
        "VIDEO_BATCH_JOB_DEFINITION": stand_in_definition,
        "BATCHREEL": json.dumps({**QUICK, "tick_lease_s": 1}),
    }


@pytest.mark.usefixtures("running_site", "wakeups_are_sent")
def test_every_job_succeeds_once_when_commits_of_worker_and_beat_are_cut(
    proxy: PostgresProxy, batch_client: BatchClient
) -> None:
    proxy.decide = draw = Draw(CUTS)
    with wakeups_go_to(os.environ["REDIS_URL"]):
        videos = [uploaded_video(title=f"Lecture {number}") for number in range(JOBS)]
    wait_for(lambda: not draw.left, limit_s=40, what=f"{CUTS} cuts")
    wait_for_all_ends(videos, limit_s=40)
    assert_all_succeeded_once(videos, batch=batch_client)
