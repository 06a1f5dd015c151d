"""A site whose own Celery tasks need other settings than Batchreel's: Batchreel's tasks keep theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.broker.app import celery_app
from tasks.models import Attempt, Tick
from tasks.schedule.ticks import WAKEUP_TASK
from tests.integration.batch_proxy import BatchProxy, Withheld
from tests.integration.broker_messages import unacked_count
from tests.integration.celery_nodes import NodeProcess, worker_process
from tests.integration.pipeline_videos import upload, wait_for_end
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite

pytestmark = pytest.mark.usefixtures("wakeups_are_sent")


@pytest.fixture
def site_environment(site_environment: dict[str, str], batch_proxy: BatchProxy) -> dict[str, str]:
    """Return the environment of the programs of such a site."""
    return {
        **site_environment,
        "DJANGO_SETTINGS_MODULE": "tests.integration.host_settings",
        "AWS_ENDPOINT_URL_BATCH": batch_proxy.url,
    }


@pytest.fixture(autouse=True)
def _web_process_is_of_the_same_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    app = celery_app()
    app.loader.import_default_modules()
    monkeypatch.setitem(app.conf, "task_serializer", "yaml")
    # Celery keeps the serializer of their first use in the function that sends messages, and in the task.
    app.amqp.__dict__.pop("send_task_message", None)
    wake = app.tasks[WAKEUP_TASK]
    monkeypatch.setattr(wake, "serializer", "yaml")
    monkeypatch.setattr(wake, "_exec_options", None)
    yield
    app.amqp.__dict__.pop("send_task_message", None)


@pytest.fixture
def worker(site_environment: dict[str, str], tmp_path: Path) -> Iterator[NodeProcess]:
    process = worker_process(site_environment, tmp_path)
    try:
        process.ready()
        yield process
    finally:
        process.teardown()


@pytest.mark.long
def test_message_is_delivered_again_when_a_worker_is_killed_that_acknowledges_early(
    worker: NodeProcess, batch_proxy: BatchProxy, short_clip: Path
) -> None:
    batch_proxy.withhold_next("submitjob", Withheld.REQUEST)
    video = upload(short_clip)
    batch_proxy.wait_until_withheld()
    assert unacked_count() == 1
    worker.kill("SIGKILL")
    assert unacked_count() == 1
    worker.restart()
    wait_for(lambda: worker.logs().count("Task batchreel.wake[") >= 3, what="the second delivery and its result")
    wait_for(lambda: unacked_count() == 0, what="the acknowledgement of the second delivery")
    assert Attempt.objects.get(job__video=video).state == "SUBMITTING"


@pytest.mark.long
def test_video_is_published_when_the_site_has_a_result_backend_and_another_scheduler(
    running_site: RunningSite, short_clip: Path
) -> None:
    job = wait_for_end(upload(short_clip))
    assert (job.state, job.fence) == ("SUCCEEDED", 1)
    wait_for(lambda: Tick.objects.filter(fence__gt=0).count() >= 5, what="five kinds of tick")
    logs = running_site.worker.logs()
    assert "Traceback" not in logs
    assert "Retry limit exceeded" not in logs
