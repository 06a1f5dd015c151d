"""The connection is cut at COMMIT, before its effect or after it: the same end, and nothing that was DONE is done again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.exit_codes import ExitCode
from tests.factories import submitted_attempt
from tests.integration.container_processes import ContainerRun
from tests.integration.faults.final_state import assert_done_once
from tests.integration.faults.postgres_proxy import Cut, PostgresProxy
from tests.integration.path_videos import upload
from tests.media.clips import make_clip

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.models import Attempt


@pytest.fixture(scope="session")
def silent_audio_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds without sound: one unit of media."""
    return make_clip(tmp_path_factory.mktemp("clips") / "silent.mp4", pictures=20, rate="10")


def test_job_is_published_once_when_every_commit_of_its_container_is_cut(
    site_environment: dict[str, str], silent_audio_clip: Path
) -> None:
    attempts = {cut: submitted_attempt(upload(silent_audio_clip, title=cut.name)) for cut in Cut}
    with ThreadPoolExecutor(len(Cut)) as side_by_side:
        runs = {cut: side_by_side.submit(run_cut, attempts[cut], cut, site_environment) for cut in Cut}
        for cut, run in runs.items():
            cuts = run.result()
            # The claim; for the plan, the video and the publishing their lease and their end; that nothing is left.
            assert cuts >= 1 + 3 * 2 + 1, cut
    assert_done_once([attempt.job.video for attempt in attempts.values()])


def run_cut(attempt: Attempt, cut: Cut, environment: dict[str, str]) -> int:
    """Run a container whose every COMMIT goes wrong, and is let through when it comes again; how many were cut."""
    cut_each_first = PostgresProxy(environment["DATABASE_URL"], decide=lambda number: cut if number % 2 else None)
    with cut_each_first.running() as proxy:
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
