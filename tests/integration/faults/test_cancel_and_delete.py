"""Cancel and delete in every state and at the worst moment: work ends, objects go before rows, and events stay."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent
from tasks.models import Attempt, Event, Job, Unit, Video
from tasks.services.container_api.finish import reject_input
from tasks.services.requests.cancel import cancel_job
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.storage.keys import job_folder
from tasks.tasks import submit_tick
from tests.factories import claimed, newest_attempt, planned, uploaded_video
from tests.integration.container_processes import container_pid, encoder_pids
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import unfinished_batch_jobs
from tests.integration.faults.tick_rounds import run_round, run_rounds_until
from tests.integration.pipeline_videos import upload
from tests.media.clips import make_clip
from tests.polling import wait_for
from tests.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from django.test import Client
    from mypy_boto3_batch import BatchClient
    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.batch_faults import Faults
    from tests.integration.faults.fake_containers import FakeContainers

GONE_LIMIT_S = 10.0
"""Promise 11: ffmpeg has exited this soon after the container has noticed the cancel or deletion."""


@pytest.fixture
def site(
    fast_settings: BridgeSettings,
    settings: Settings,
    fake_container_definition: str,
    fake_containers: FakeContainers,
    tmp_path: Path,
) -> None:
    """Configure a site with fake containers held at the gate, and without grace for orphans."""
    assert fast_settings.job_definition != fake_container_definition
    fake_containers.gate.clear()
    settings.STATIC_ROOT = str(tmp_path)  # WhiteNoise warns about a missing folder
    settings.VIDEO_BATCH_JOB_DEFINITION = fake_container_definition
    settings.BATCHREEL = {**FAST_SETTINGS, "orphan_grace_s": 0, "submit_lookup_delay_s": 0.2}


def just_queued(_: Faults, __: FakeContainers) -> Video:
    return uploaded_video()


def submitting_postponed(faults: Faults, _: FakeContainers) -> Video:
    faults.inject("throttle", operation="SubmitJob", times=None)
    video = uploaded_video()
    run_rounds_until(Attempt.objects.filter(job__video=video, state="SUBMITTING").exists, what="a postponed attempt")
    return video


def submitted_and_runnable(faults: Faults, _: FakeContainers) -> Video:
    faults.inject("stuck_runnable", job_name="batchreel-")
    video = uploaded_video()
    run_rounds_until(Attempt.objects.filter(job__video=video, batch_status="RUNNABLE").exists, what="RUNNABLE")
    return video


def running(_: Faults, __: FakeContainers) -> Video:
    video = uploaded_video()
    rows = Attempt.objects.filter(job__video=video, batch_status="RUNNING").select_related("job")
    planned(claimed(run_rounds_until(rows.first, what="a running container")))
    return video


def waiting_for_retry(faults: Faults, fake_containers: FakeContainers) -> Video:
    video = running(faults, fake_containers)
    attempt = newest_attempt(video)
    with transaction.atomic():
        end_attempt(read_attempt(lock_job(attempt.job_id), 1), AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    return video


def refused(faults: Faults, fake_containers: FakeContainers) -> Video:
    video = uploaded_video()
    rows = Attempt.objects.filter(job__video=video, batch_status="RUNNING").select_related("job")
    claim = claimed(run_rounds_until(rows.first, what="a running container"))
    assert fake_containers.problems == []
    reject_input(claim, code="NOT_A_VIDEO", message="This is not a video.", exit_code=20)
    faults.reset()
    return video


def succeeded(_: Faults, fake_containers: FakeContainers) -> Video:
    fake_containers.gate.set()
    video = uploaded_video()
    run_rounds_until(Job.objects.filter(video=video, state="SUCCEEDED").exists, what="the success")
    return video


ACTIVE = (just_queued, submitting_postponed, submitted_and_runnable, running, waiting_for_retry)
ENDED = (refused, succeeded)


@pytest.mark.few(4)
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("state", ACTIVE)
def test_job_ends_and_starts_nothing_when_it_is_cancelled_in_any_state(
    state: Callable[[Faults, FakeContainers], Video],
    faults: Faults,
    fake_containers: FakeContainers,
    batch_client: BatchClient,
) -> None:
    video = state(faults, fake_containers)
    job = Job.objects.get(video=video)
    attempts = job.attempts.count()
    assert cancel_job(job_id=job.pk)
    faults.reset()
    run_rounds_until(lambda: not unfinished_batch_jobs(batch_client), what="the end of the Batch job")
    run_round()
    job.refresh_from_db()
    assert (job.state, job.reason, job.attempts.count()) == ("CANCELLED", Reason.CANCELLED, attempts)
    assert not Attempt.objects.filter(job=job, ended_at=None).exists()


def by_row(video: Video, _: Client) -> None:
    video.delete()


def by_queryset(video: Video, _: Client) -> None:
    Video.objects.filter(pk=video.pk).delete()


def by_admin(video: Video, admin_client: Client) -> None:
    response = admin_client.post(f"/admin/batchreel/video/{video.pk}/delete/", {"post": "yes"}, secure=True)
    assert response.status_code == 302


@pytest.mark.few(3)
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("how", [by_row, by_queryset, by_admin])
@pytest.mark.parametrize("state", ACTIVE + ENDED)
def test_video_leaves_only_events_when_it_is_deleted_in_any_state(  # noqa: PLR0917 - state, way, parts
    state: Callable[[Faults, FakeContainers], Video],
    how: Callable[[Video, Client], None],
    faults: Faults,
    fake_containers: FakeContainers,
    batch_client: BatchClient,
    admin_client: Client,
) -> None:
    video = state(faults, fake_containers)
    job = Job.objects.get(video=video)
    source = str(video.source)
    made = default_storage.save(f"{job_folder(job)}/video-0000-f1-abc/720p.mp4", ContentFile(b"object"))
    how(video, admin_client)
    faults.reset()
    run_rounds_until(lambda: not Video.objects.filter(pk=video.pk).exists(), what="the purge of the rows")
    assert not default_storage.exists(made)
    assert not default_storage.exists(source)
    assert [model.objects.count() for model in (Job, Attempt, Unit)] == [0, 0, 0]
    assert {"job.request", "video.delete", "video.purge"} <= set(
        Event.objects.filter(video_id=video.pk).values_list("kind", flat=True)
    )
    run_rounds_until(lambda: not unfinished_batch_jobs(batch_client), what="the end of the Batch job")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("kind", ["slow", "drop_after", "hang_after"])
def test_batch_job_is_terminated_when_a_cancel_overlaps_submit_job(
    kind: str, faults: Faults, fake_containers: FakeContainers, batch_client: BatchClient
) -> None:
    hold = {} if kind == "drop_after" else {"hold_s": 1}
    fault = faults.inject(kind, operation="SubmitJob", **hold)
    job = Job.objects.get(video=uploaded_video())
    submitting = threading.Thread(target=submit_and_close)
    submitting.start()
    wait_for(lambda: faults.applied(fault), what="SubmitJob")
    assert cancel_job(job_id=job.pk)
    submitting.join()
    run_rounds_until(lambda: not unfinished_batch_jobs(batch_client), what="the end of the Batch job")
    assert Attempt.objects.get(job=job).state == "CANCELLED"
    fake_containers.gate.set()
    job.refresh_from_db()
    assert (job.state, Unit.objects.count()) == ("CANCELLED", 0)


def submit_and_close() -> None:
    try:
        submit_tick()
    finally:
        connection.close()


@pytest.mark.usefixtures("fast_settings")
def test_encoder_is_killed_when_the_video_is_deleted_in_mid_encode(tmp_path: Path) -> None:
    video = upload(make_clip(tmp_path / "long.mp4", frames=1800, rate="30", size="854x480"))
    attempt = run_rounds_until(
        Attempt.objects.filter(job__video=video, state="RUNNING").first, what="a running container"
    )
    container = container_pid(attempt.batch_job_id)
    wait_for(Unit.objects.filter(attempt=attempt, kind="video", state="LEASED").exists, what="a video unit")
    (encoder, *_) = wait_for(lambda: encoder_pids(container), what="an encoder")
    video.delete()
    wait_for(lambda: not is_alive(encoder), limit_s=GONE_LIMIT_S, what="the encoder's end")
    wait_for(lambda: not is_alive(container), limit_s=GONE_LIMIT_S, what="the container's end")
    run_rounds_until(lambda: not Video.objects.filter(pk=video.pk).exists(), what="the purge of the rows")
    assert not default_storage.exists(str(video.source))
