"""What the fault tests share."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.integration.fast_settings import QUICK
from tests.integration.faults.dedicated_postgres import OwnPostgres, rows_are_in
from tests.integration.faults.fake_containers import FakeContainers
from tests.media.clips import make_clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tasks.conf import BridgeSettings
    from tests.integration.batch_proxy import BatchProxy


@pytest.fixture
def hall(transactional_db: None) -> Iterator[FakeContainers]:
    """A hall for stand-ins; the database outlasts it."""
    with FakeContainers().open() as hall:
        yield hall


@pytest.fixture
def stand_in_definition(hall: FakeContainers, batch_client: BatchClient) -> str:
    """The name of a job definition whose containers are stand-ins of the test's hall."""
    name = f"stand-in-{uuid.uuid4().hex[:8]}"
    hall.define(batch_client, name=name)
    return name


@pytest.fixture
def proxied_stand_ins(
    quick: BridgeSettings, program_environment: dict[str, str], stand_in_definition: str, batch_proxy: BatchProxy
) -> dict[str, str]:
    """The environment of a quick site with stand-ins for containers, and the proxy before AWS Batch."""
    assert quick.profile == "fast"
    return {
        **program_environment,
        "VIDEO_BATCH_JOB_DEFINITION": stand_in_definition,
        "BATCHREEL": json.dumps({**QUICK, "tick_lease_s": 2}),
        "AWS_ENDPOINT_URL_BATCH": batch_proxy.url,
    }


@pytest.fixture(scope="session")
def three_unit_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes, small and without sound; the quick site's profile cuts a unit each 60 s."""
    return make_clip(tmp_path_factory.mktemp("clips") / "three-units.mp4", pictures=3 * 60 * 10, rate="10")


@pytest.fixture
def own_postgres(quick: BridgeSettings, program_environment: dict[str, str], tmp_path: Path) -> Iterator[OwnPostgres]:
    """A PostgreSQL that the test may crash; this process's rows are there too."""
    assert quick.profile == "fast"
    postgres = OwnPostgres(tmp_path / "own-postgres")
    try:
        postgres.migrate(program_environment)
        with rows_are_in(postgres.url):
            yield postgres
    finally:
        postgres.stop()
