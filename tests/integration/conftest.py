"""Shared fixtures of the end-to-end tests: fast settings, a job definition with them, worker and beat, tiny clips."""

from __future__ import annotations

import json
import os
import sys
import uuid
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from pytest_celery import CeleryTestNode, CeleryTestWorker

from project.celery import app as celery_app
from tasks import wakeup
from tasks.batch.definition import render
from tasks.conf import BridgeSettings, bridge_settings
from tests.contract.jobs import Jobs, unfinished_job_ids
from tests.integration.batch_proxy import BatchProxy
from tests.integration.broker_messages import clear_messages
from tests.integration.celery_nodes import RunningSite, beat_process, worker_process
from tests.integration.container_definitions import define_containers
from tests.integration.container_processes import ContainerRun, EncoderBrake
from tests.integration.dedicated_redis import DedicatedRedis
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.installed_wheel import HOSTS_OWN, Installation, build_wheel
from tests.media.clips import make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from pytest_django import Settings

    from tasks.models import Attempt
    from tests.integration.container_processes import Run

LOG_TAIL_CHARACTERS = 20_000


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return an environment as `pip install batchreel django-environ` makes it."""
    return Installation(wheel, tmp_path_factory.mktemp("core"), others=HOSTS_OWN)


@pytest.fixture(scope="session")
def worker(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return an environment as `pip install 'batchreel[worker]' django-environ` makes it."""
    return Installation(wheel, tmp_path_factory.mktemp("worker"), extras=["worker"], others=HOSTS_OWN)


@pytest.fixture(scope="session")
def batch_client() -> BatchClient:
    return boto3.client("batch", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32))


@pytest.fixture(scope="session")
def logs_client() -> CloudWatchLogsClient:
    return boto3.client("logs")


@pytest.fixture
def dedicated_queue(batch_client: BatchClient, logs_client: CloudWatchLogsClient) -> Iterator[Jobs]:
    """Yield a queue that only this test uses; end its remaining jobs afterwards."""
    jobs = Jobs(batch_client, logs_client)
    yield jobs
    jobs.end()


@pytest.fixture(scope="session")
def fast_definition(batch_client: BatchClient) -> str:
    """Register a job definition as the code renders it, with the fast settings in its environment."""
    name = f"fast-{uuid.uuid4().hex[:8]}"
    definition = render(BridgeSettings(**FAST_SETTINGS, job_definition=name), region=batch_client.meta.region_name)
    definition["containerProperties"]["environment"].append({"name": "BATCHREEL", "value": json.dumps(FAST_SETTINGS)})
    batch_client.register_job_definition(**definition)
    return name


@pytest.fixture
def fast_settings(
    transactional_db: None, settings: Settings, fast_definition: str, batch_client: BatchClient
) -> Iterator[BridgeSettings]:
    """Apply the fast settings in this process too; end the test's Batch jobs afterwards."""
    settings.BATCHREEL = FAST_SETTINGS
    settings.VIDEO_BATCH_JOB_DEFINITION = fast_definition
    wakeup.circuit_breaker.reset()  # a slow wake-up in another test would suppress those of this one
    clear_messages()
    yield bridge_settings()
    end_batch_jobs(batch_client, bridge_settings().job_queue)


@pytest.fixture
def dedicated_definition(program_environment: dict[str, str]) -> dict[str, str]:
    """Return the environment with a job definition name that only this test uses."""
    return {**program_environment, "VIDEO_BATCH_JOB_DEFINITION": f"test-{uuid.uuid4().hex[:12]}"}


@pytest.fixture
def dedicated_redis(tmp_path: Path) -> Iterator[DedicatedRedis]:
    """Yield a Redis that the test may stop. A module whose site uses it overrides `site_environment`."""
    redis = DedicatedRedis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def brake(tmp_path: Path) -> EncoderBrake:
    """Return the brake that stops the encoders of containers whose environment contains it."""
    return EncoderBrake(tmp_path)


@pytest.fixture
def braked_definition(fast_settings: BridgeSettings, brake: EncoderBrake, batch_client: BatchClient) -> str:
    """Register a job definition whose containers have the brake."""
    return define_containers(batch_client, **brake.environment)


@pytest.fixture
def batch_proxy() -> Iterator[BatchProxy]:
    """Yield a proxy in front of the local AWS Batch, for sites whose environment points at it."""
    with BatchProxy(os.environ["AWS_ENDPOINT_URL"]).running() as proxy:
        yield proxy


@pytest.fixture
def site_environment(fast_settings: BridgeSettings, program_environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of the programs of a site with the fast settings."""
    return {
        **program_environment,
        "VIDEO_BATCH_JOB_DEFINITION": fast_settings.job_definition,
        "BATCHREEL": json.dumps(FAST_SETTINGS),
    }


@pytest.fixture
def running_site(site_environment: dict[str, str], tmp_path: Path) -> Iterator[RunningSite]:
    """Yield a running Celery worker and beat; beat writes the schedule entries of the fast settings itself.

    If the test fails, pytest shows the end of their logs.
    """
    worker, beat = worker_process(site_environment, tmp_path), beat_process(site_environment, tmp_path)
    try:
        site = RunningSite(worker=CeleryTestWorker(worker, app=celery_app), beat=CeleryTestNode(beat, app=celery_app))
        site.worker.ready()
        site.beat.ready()
        yield site
    finally:
        for process in (beat, worker):
            process.teardown()
            sys.stdout.write(f"-- {process.name} --\n{process.logs()[-LOG_TAIL_CHARACTERS:]}\n")


@pytest.fixture
def run(site_environment: dict[str, str], container_database_url: str) -> Iterator[Run]:
    started: list[ContainerRun] = []

    def start(attempt: Attempt, **environment: str) -> ContainerRun:
        container = ContainerRun(
            attempt.job_id,
            attempt.number,
            environment={
                **site_environment,
                "DATABASE_URL": container_database_url,
                "SECRET_KEY": "",
                **environment,
            },
            batch_job_id=attempt.batch_job_id,
        )
        started.append(container)
        return container

    yield start
    for container in started:
        container.end()


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip of four seconds with audio."""
    return make_clip(tmp_path_factory.mktemp("clips") / "short.mp4", frames=40, rate="10", audio_s=4.0)


def end_batch_jobs(batch: BatchClient, queue: str) -> None:
    """Terminate all unfinished jobs in the queue and wait for their end.

    A running container would interfere with truncating the tables.
    """
    for job_id in unfinished_job_ids(batch, queue):
        batch.terminate_job(jobId=job_id, reason="The test is over")
    wait_for(lambda: not unfinished_job_ids(batch, queue), what="the end of the test's containers")
