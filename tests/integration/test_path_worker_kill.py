"""Celery workers that die in mid-task, driven by pytest-celery over local processes: nothing is lost, nothing done twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from pytest_celery import CeleryBrokerCluster, CeleryTestBroker, CeleryTestWorker, CeleryWorkerCluster

from project.celery import app as celery_app
from tasks.beat import sync_entries
from tasks.models import Attempt
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.celery_nodes import BrokerOfStack, beat_process, worker_process
from tests.integration.path_rows import told, upload, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from celery import Celery
    from mypy_boto3_batch import BatchClient
    from pytest_celery import CeleryTestSetup

    from tests.integration.celery_nodes import NodeProcess


@pytest.fixture
def batch_proxy() -> Iterator[BatchProxy]:
    with BatchProxy(os.environ["AWS_ENDPOINT_URL"]).running() as proxy:
        yield proxy


@pytest.fixture
def proxied_environment(site_environment: dict[str, str], batch_proxy: BatchProxy) -> dict[str, str]:
    return {**site_environment, "AWS_ENDPOINT_URL_BATCH": batch_proxy.url}


@pytest.fixture
def celery_broker_cluster() -> CeleryBrokerCluster:
    return CeleryBrokerCluster(CeleryTestBroker(BrokerOfStack(os.environ["REDIS_URL"]), app=celery_app))


@pytest.fixture
def celery_backend_cluster() -> None:
    """There is no result backend: results are rows."""


@pytest.fixture
def celery_worker_cluster(proxied_environment: dict[str, str], tmp_path: Path) -> Iterator[CeleryWorkerCluster]:
    process = worker_process(proxied_environment, tmp_path)
    try:
        cluster = CeleryWorkerCluster(CeleryTestWorker(process, app=celery_app))
        cluster.ready()
        yield cluster
    finally:
        process.teardown()


@pytest.fixture
def celery_setup_app() -> Celery:
    """The project's own: another one would become this process's current app."""
    return celery_app


@pytest.fixture
def late_beat(proxied_environment: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """Starts beat when called."""
    started: list[NodeProcess] = []

    def start() -> None:
        sync_entries()
        started.append(beat_process(proxied_environment, tmp_path))

    yield start
    for process in started:
        process.teardown()


@pytest.mark.parametrize("withheld", Withheld)
def test_job_is_submitted_once_and_ends_when_its_worker_is_killed_in_mid_task(
    *,
    withheld: Withheld,
    celery_setup: CeleryTestSetup,
    batch_proxy: BatchProxy,
    late_beat: Any,
    short_clip: Path,
    batch_client: BatchClient,
) -> None:
    worker = celery_setup.worker
    assert worker is not None
    batch_proxy.withhold_next("submitjob", withheld)
    video = upload(short_clip)
    batch_proxy.wait_until_withheld()
    worker.kill("SIGKILL")
    assert worker.container.status == "exited"
    attempt = Attempt.objects.get(job__video=video)
    assert attempt.submit_called_at is not None
    assert "attempt.submit" not in told(attempt.job)

    worker.restart()
    late_beat()
    job = wait_for_end(video)
    assert (job.state, job.fence) == ("SUCCEEDED", 1)
    assert batch_proxy.calls("submitjob") == (2 if withheld is Withheld.REQUEST else 1)
    listed = batch_client.list_jobs(
        jobQueue="batchreel", filters=[{"name": "JOB_NAME", "values": [f"batchreel-{job.pk}-*"]}]
    )["jobSummaryList"]
    attempt.refresh_from_db()
    assert [each["jobId"] for each in listed] == [attempt.batch_job_id]
    assert told(job).count("attempt.claim") == told(job).count("job.publish") == 1
