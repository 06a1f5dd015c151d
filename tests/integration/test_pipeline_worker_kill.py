"""Celery workers that die in mid-task, driven by pytest-celery over local processes: nothing is lost or done twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from pytest_celery import CeleryBrokerCluster, CeleryTestBroker, CeleryTestWorker, CeleryWorkerCluster

from project.celery import app as celery_app
from tasks.models import Attempt, Job
from tasks.schedule.sync import sync_entries
from tests.contract.jobs import Jobs
from tests.docker_engine import image_under_test
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.celery_nodes import NodeContainer, NodeProcess, StackBroker, beat_process, worker_process
from tests.integration.pipeline_videos import event_kinds, upload, wait_for_attempt, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from celery import Celery
    from pytest_celery import CeleryTestSetup


class BusyQueue:
    """A queue for one container, occupied by another Batch job: jobs of the test are submitted, but do not start."""

    def __init__(self, jobs: Jobs) -> None:
        self._batch = jobs.batch
        self.name = jobs.queue
        self._blocker = jobs.submit("sleep", "600")
        jobs.wait_for_status(self._blocker, "RUNNING")

    def release(self) -> None:
        """Terminate the blocking Batch job, so that jobs of the test can start."""
        self._batch.terminate_job(jobId=self._blocker, reason="The queue is no longer blocked")

    def ids_of(self, job: Job) -> list[str]:
        """Return the ids of all Batch jobs that were ever submitted here for a job."""
        named = [{"name": "JOB_NAME", "values": [f"batchreel-{job.pk}-*"]}]
        return [each["jobId"] for each in self._batch.list_jobs(jobQueue=self.name, filters=named)["jobSummaryList"]]


@pytest.fixture
def busy_queue(dedicated_queue: Jobs) -> BusyQueue:
    dedicated_queue.queue = dedicated_queue.make_queue(vcpus=1)
    return BusyQueue(dedicated_queue)


@pytest.fixture
def proxied_environment(
    site_environment: dict[str, str], batch_proxy: BatchProxy, busy_queue: BusyQueue
) -> dict[str, str]:
    return {
        **site_environment,
        "AWS_ENDPOINT_URL_BATCH": batch_proxy.url,
        "VIDEO_BATCH_JOB_QUEUE": busy_queue.name,
    }


@pytest.fixture
def celery_broker_cluster() -> CeleryBrokerCluster:
    return CeleryBrokerCluster(CeleryTestBroker(StackBroker(os.environ["REDIS_URL"]), app=celery_app))


@pytest.fixture
def celery_backend_cluster() -> None:
    """Return None: there is no result backend, results are rows."""


@pytest.fixture(params=["process", pytest.param("docker", marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def node_kind(request: pytest.FixtureRequest) -> type[NodeProcess]:
    """Return the kind of worker: a local process, or a container from the image in Docker."""
    if request.param == "process":
        return NodeProcess
    image_under_test()
    return NodeContainer


@pytest.fixture
def celery_worker_cluster(
    node_kind: type[NodeProcess], proxied_environment: dict[str, str], tmp_path: Path
) -> Iterator[CeleryWorkerCluster]:
    process = worker_process(proxied_environment, tmp_path, kind=node_kind)
    try:
        cluster = CeleryWorkerCluster(CeleryTestWorker(process, app=celery_app))
        cluster.ready()
        yield cluster
    finally:
        process.teardown()


@pytest.fixture
def celery_setup_app() -> Celery:
    """Return the project's app: a new one would become this process's current app."""
    return celery_app


@pytest.fixture
def start_beat(proxied_environment: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """Yield a callable that starts beat."""
    started: list[NodeProcess] = []

    def start() -> None:
        sync_entries()
        started.append(beat_process(proxied_environment, tmp_path))

    yield start
    for process in started:
        process.teardown()


@pytest.mark.long
@pytest.mark.parametrize("withheld", Withheld)
def test_job_is_submitted_once_when_its_worker_is_killed_in_mid_task(
    *,
    withheld: Withheld,
    celery_setup: CeleryTestSetup,
    batch_proxy: BatchProxy,
    busy_queue: BusyQueue,
    start_beat: Any,
    short_clip: Path,
) -> None:
    worker = celery_setup.worker
    assert worker is not None
    batch_proxy.withhold_next("submitjob", withheld)
    video = upload(short_clip)
    batch_proxy.wait_until_withheld()
    worker.kill("SIGKILL")
    assert worker.container.status == "exited"
    attempt = Attempt.objects.get(job__video=video)
    assert (attempt.state, attempt.batch_job_id) == ("SUBMITTING", None)
    assert attempt.submit_called_at is not None

    worker.restart()
    start_beat()
    attempt = wait_for_attempt(video, state="SUBMITTED")
    adopted = f"BATCH_SUBMIT_ADOPTED {attempt.batch_job_name} {attempt.batch_job_id}" in worker.logs()
    assert adopted is (withheld is Withheld.RESPONSE)
    busy_queue.release()
    job = wait_for_end(video)
    assert (job.state, job.fence) == ("SUCCEEDED", 1)
    assert batch_proxy.calls("submitjob") == (2 if withheld is Withheld.REQUEST else 1)
    assert busy_queue.ids_of(job) == [attempt.batch_job_id]
    assert event_kinds(job).count("attempt.claim") == event_kinds(job).count("job.publish") == 1
