"""What the tests of the whole path share: quick settings, a job definition that carries them, worker and beat, tiny clips."""

from __future__ import annotations

import json
import os
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
from tasks.models import TokenBucket
from tests.contract.jobs import Jobs, unfinished_job_ids
from tests.integration.batch_proxy import BatchProxy
from tests.integration.broker_messages import forget_messages
from tests.integration.celery_nodes import RunningSite, beat_process, worker_process
from tests.integration.container_definitions import define_containers
from tests.integration.container_processes import ContainerRun, EncoderBrake
from tests.integration.dedicated_redis import OwnRedis
from tests.integration.fast_settings import QUICK
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


@pytest.fixture(scope="session")
def batch_client() -> BatchClient:
    return boto3.client("batch", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32))


@pytest.fixture(scope="session")
def logs_client() -> CloudWatchLogsClient:
    return boto3.client("logs")


@pytest.fixture
def own_queue(batch_client: BatchClient, logs_client: CloudWatchLogsClient) -> Iterator[Jobs]:
    """A queue of the test's own; afterwards nothing is left in it."""
    jobs = Jobs(batch_client, logs_client)
    yield jobs
    jobs.end()


@pytest.fixture(scope="session")
def quick_definition(batch_client: BatchClient) -> str:
    """A job definition as the code renders it, whose containers have the quick settings."""
    name = f"quick-{uuid.uuid4().hex[:8]}"
    definition = render(BridgeSettings(**QUICK, job_definition=name), region=batch_client.meta.region_name)
    definition["containerProperties"]["environment"].append({"name": "BATCHREEL", "value": json.dumps(QUICK)})
    batch_client.register_job_definition(**definition)
    return name


@pytest.fixture
def quick(
    transactional_db: None, settings: Settings, quick_definition: str, batch_client: BatchClient
) -> Iterator[BridgeSettings]:
    """The quick settings in this process too; afterwards, no Batch job of the test is left."""
    settings.BATCHREEL = QUICK
    settings.VIDEO_BATCH_JOB_DEFINITION = quick_definition
    wakeup.breaker.reset()  # a slow hint of another test would keep back those of this one
    TokenBucket.objects.all().delete()
    forget_messages()
    yield bridge_settings()
    end_batch_jobs(batch_client, bridge_settings().job_queue)


@pytest.fixture
def own_definition(program_environment: dict[str, str]) -> dict[str, str]:
    """The environment with a job definition that only this test knows."""
    return {**program_environment, "VIDEO_BATCH_JOB_DEFINITION": f"test-{uuid.uuid4().hex[:12]}"}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that the test may take away. A module whose site shall use it overrides `site_environment`."""
    redis = OwnRedis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def brake(tmp_path: Path) -> EncoderBrake:
    """What holds the encoders of containers whose environment has it."""
    return EncoderBrake(tmp_path)


@pytest.fixture
def braked_definition(quick: BridgeSettings, brake: EncoderBrake, batch_client: BatchClient) -> str:
    """A job definition whose containers have the brake."""
    return define_containers(batch_client, **brake.environment)


@pytest.fixture
def batch_proxy() -> Iterator[BatchProxy]:
    """What stands between a site and the local AWS Batch, where the site's environment says so."""
    with BatchProxy(os.environ["AWS_ENDPOINT_URL"]).running() as proxy:
        yield proxy


@pytest.fixture
def site_environment(quick: BridgeSettings, program_environment: dict[str, str]) -> dict[str, str]:
    """The environment of the programs of a quick site."""
    return {
        **program_environment,
        "VIDEO_BATCH_JOB_DEFINITION": quick.job_definition,
        "BATCHREEL": json.dumps(QUICK),
    }


@pytest.fixture
def running_site(site_environment: dict[str, str], tmp_path: Path) -> Iterator[RunningSite]:
    """A Celery worker and beat at work; beat writes the entries of the quick settings itself."""
    worker, beat = worker_process(site_environment, tmp_path), beat_process(site_environment, tmp_path)
    try:
        site = RunningSite(worker=CeleryTestWorker(worker, app=celery_app), beat=CeleryTestNode(beat, app=celery_app))
        site.worker.ready()
        site.beat.ready()
        yield site
    finally:
        for process in (beat, worker):
            process.teardown()


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
    """Four seconds with sound."""
    return make_clip(tmp_path_factory.mktemp("clips") / "short.mp4", pictures=40, rate="10", audio_s=4.0)


def end_batch_jobs(batch: BatchClient, queue: str) -> None:
    """End what still runs or waits in the queue, and wait for it: a container at work would be in the way when the tables are emptied."""
    for job_id in unfinished_job_ids(batch, queue):
        batch.terminate_job(jobId=job_id, reason="The test is over")
    wait_for(lambda: not unfinished_job_ids(batch, queue), what="the end of the test's containers")
