"""Shared fixtures of the fault tests."""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.dedicated_postgres import DedicatedPostgres, use_database
from tests.integration.faults.fake_containers import FakeContainers
from tests.integration.faults.raw_clients import LARGE_FILE, SMALL_FILE, THREADS
from tests.integration.faults.web_site import WebSite
from tests.media.clips import make_clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tasks.conf import BridgeSettings
    from tests.integration.batch_proxy import BatchProxy


@pytest.fixture
def fake_containers(transactional_db: None) -> Iterator[FakeContainers]:
    """Yield a server for fake containers; `transactional_db` keeps the database until it is closed."""
    with FakeContainers().open() as fake_containers:
        yield fake_containers


@pytest.fixture
def fake_container_definition(fake_containers: FakeContainers, batch_client: BatchClient) -> str:
    """Register a job definition whose containers are the test's fake containers, and return its name."""
    name = f"fake-container-{uuid.uuid4().hex[:8]}"
    fake_containers.define(batch_client, name=name)
    return name


@pytest.fixture
def proxied_fake_containers(
    fast_settings: BridgeSettings,
    program_environment: dict[str, str],
    fake_container_definition: str,
    batch_proxy: BatchProxy,
) -> dict[str, str]:
    """Return the environment of a fast site with fake containers and the proxy in front of AWS Batch."""
    assert fast_settings.profile == "fast"
    return {
        **program_environment,
        "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition,
        "BATCHREEL": json.dumps({**FAST_SETTINGS, "tick_lease_s": 2}),
        "AWS_ENDPOINT_URL_BATCH": batch_proxy.url,
    }


@pytest.fixture(scope="session")
def three_unit_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three minutes of small video without audio; the fast site's profile plans a unit per 60 s."""
    return make_clip(tmp_path_factory.mktemp("clips") / "three-units.mp4", frames=3 * 60 * 10, rate="10")


@pytest.fixture
def dedicated_postgres(
    fast_settings: BridgeSettings, program_environment: dict[str, str], tmp_path: Path
) -> Iterator[DedicatedPostgres]:
    """Yield a PostgreSQL that the test may crash; this process uses it too."""
    assert fast_settings.profile == "fast"
    postgres = DedicatedPostgres(tmp_path / "dedicated-postgres")
    try:
        postgres.migrate(program_environment)
        with use_database(postgres.url):
            yield postgres
    finally:
        postgres.stop()


@pytest.fixture(scope="module")
def web_environment(program_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of one web process with a large static file."""
    static = tmp_path_factory.mktemp("static")
    (static / "large.bin").write_bytes(LARGE_FILE)
    (static / "small.bin").write_bytes(SMALL_FILE)
    # The lock of a test must not time out.
    options = {"WEB_CONCURRENCY": "1", "DATABASE_SESSION_OPTIONS": "-c lock_timeout=120000"}
    return {**program_environment, **options, "STATIC_ROOT": str(static)}


@pytest.fixture(scope="module")
def web(web_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """One web process with two threads."""
    web = WebSite(web_environment, tmp_path_factory.mktemp("web"), "--threads", str(THREADS))
    web.wait_until_it_responses()
    yield web
    web.kill()


@pytest.fixture(scope="module")
def hasty_web(web_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """One web process with two threads and limits of one second."""
    hasty = ("--worker-class", "tests.integration.faults.hasty_worker.HastyWorker")
    web = WebSite(web_environment, tmp_path_factory.mktemp("hasty"), "--threads", str(THREADS), *hasty)
    web.wait_until_it_responses()
    yield web
    web.kill()


@pytest.fixture
def forgetful_web(web_environment: dict[str, str], tmp_path: Path) -> Iterator[WebSite]:
    """One web process with one thread, which keeps little of requests and responses."""
    forgetful = ("--worker-class", "tests.integration.faults.hasty_worker.ForgetfulWorker")
    web = WebSite(web_environment, tmp_path, *forgetful, "--threads", "1")
    web.wait_until_it_responses()
    yield web
    web.kill()


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    """Yield a stack that closes the test's connections."""
    with ExitStack() as connections:
        yield connections
