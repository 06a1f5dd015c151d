"""The connection is cut at COMMIT, before or after its effect: the outcome is the same, and no DONE unit is redone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.exit_codes import ExitCode
from tests.factories import submitted_attempt
from tests.integration.container_processes import ContainerRun
from tests.integration.faults.final_state import assert_done_once
from tests.integration.faults.postgres_proxy import Cut, PostgresProxy
from tests.integration.pipeline_videos import upload
from tests.media.clips import make_clip

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.models import Attempt


@pytest.fixture(scope="session")
def clip_without_audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two seconds of video without audio: one media unit."""
    return make_clip(tmp_path_factory.mktemp("clips") / "silent.mp4", frames=20, rate="10")


def test_job_is_published_once_when_every_commit_of_its_container_is_cut(
    site_environment: dict[str, str], clip_without_audio: Path
) -> None:
    attempts = {cut: submitted_attempt(upload(clip_without_audio, title=cut.name)) for cut in Cut}
    with ThreadPoolExecutor(len(Cut)) as executor:
        runs = {cut: executor.submit(run_cut, attempts[cut], cut, site_environment) for cut in Cut}
        for cut, run in runs.items():
            cuts = run.result()
            # The claim; the lease and the end of the plan, video and publish units; the claim that
            # finds nothing left.
            assert cuts >= 1 + 3 * 2 + 1, cut
    assert_done_once([attempt.job.video for attempt in attempts.values()])


def run_cut(attempt: Attempt, cut: Cut, environment: dict[str, str]) -> int:
    """Run a container whose COMMITs are all cut once and forwarded on retry, and return the number of cuts."""
    cutting_proxy = PostgresProxy(environment["DATABASE_URL"], decide=lambda number: cut if number % 2 else None)
    with cutting_proxy.running() as proxy:
        container = ContainerRun(
            attempt.job_id,
            attempt.number,
            environment={**environment, "DATABASE_URL": proxy.url},
            batch_job_id=attempt.batch_job_id,
        )
        try:
            code, lines = container.wait()
        finally:
            container.end()
    assert (code, lines[-1]["text"]) == (ExitCode.DONE, "published"), lines
    return proxy.cuts
