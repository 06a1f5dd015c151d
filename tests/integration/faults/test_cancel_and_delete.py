"""Cancel and delete, in every state and at the worst moment: the work ends, then objects go, then rows; events stay."""

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
from tests.integration.fast_settings import QUICK
from tests.integration.faults.final_state import unfinished_batch_jobs
from tests.integration.faults.tick_rounds import run_round, run_rounds_until
from tests.integration.path_videos import upload
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
"""Promise 11: ffmpeg is gone so soon after the container has learned of it."""


@pytest.fixture
def site(
    quick: BridgeSettings, settings: Settings, stand_in_definition: str, hall: FakeContainers, tmp_path: Path
) -> None:
    """A site whose containers are stand-ins that wait at the door; orphans are ended at once."""
    assert quick.job_definition != stand_in_definition
    hall.doors.clear()
    settings.STATIC_ROOT = str(tmp_path)  # WhiteNoise warns of a folder that is not there
    settings.VIDEO_BATCH_JOB_DEFINITION = stand_in_definition
    settings.BATCHREEL = {**QUICK, "orphan_grace_s": 0, "submit_lookup_delay_s": 0.2}


def just_queued(_: Faults, __: FakeContainers) -> Video:
    return uploaded_video()


def submitting_put_off(faults: Faults, _: FakeContainers) -> Video:
    faults.plant("throttle", operation="SubmitJob", times=None)
    video = uploaded_video()
    run_rounds_until(Attempt.objects.filter(job__video=video, state="SUBMITTING").exists, what="an attempt put off")
    return video


def submitted_and_runnable(faults: Faults, _: FakeContainers) -> Video:
    faults.plant("stuck_runnable", job_name="batchreel-")
    video = uploaded_video()
    run_rounds_until(Attempt.objects.filter(job__video=video, batch_status="RUNNABLE").exists, what="RUNNABLE")
    return video


def running(_: Faults, __: FakeContainers) -> Video:
    video = uploaded_video()
    rows = Attempt.objects.filter(job__video=video, batch_status="RUNNING").select_related("job")
    planned(claimed(run_rounds_until(rows.first, what="a running container")))
    return video


def waiting_for_retry(faults: Faults, hall: FakeContainers) -> Video:
    video = running(faults, hall)
    attempt = newest_attempt(video)
    with transaction.atomic():
        end_attempt(read_attempt(lock_job(attempt.job_id), 1), AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    return video


def refused(faults: Faults, hall: FakeContainers) -> Video:
    video = uploaded_video()
    rows = Attempt.objects.filter(job__video=video, batch_status="RUNNING").select_related("job")
    claim = claimed(run_rounds_until(rows.first, what="a running container"))
    assert hall.problems == []
    reject_input(claim, code="NOT_A_VIDEO", message="This is not a video.", exit_code=20)
    faults.reset()
    return video


def succeeded(_: Faults, hall: FakeContainers) -> Video:
    hall.doors.set()
    video = uploaded_video()
    run_rounds_until(Job.objects.filter(video=video, state="SUCCEEDED").exists, what="the success")
    return video


ACTIVE = (just_queued, submitting_put_off, submitted_and_runnable, running, waiting_for_retry)
ENDED = (refused, succeeded)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("state", ACTIVE)
def test_work_ends_and_nothing_starts_when_it_is_cancelled_in_any_state(
    state: Callable[[Faults, FakeContainers], Video], faults: Faults, hall: FakeContainers, batch_client: BatchClient
) -> None:
    video = state(faults, hall)
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
    answer = admin_client.post(f"/admin/batchreel/video/{video.pk}/delete/", {"post": "yes"}, secure=True)
    assert answer.status_code == 302


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("how", [by_row, by_queryset, by_admin])
@pytest.mark.parametrize("state", ACTIVE + ENDED)
def test_nothing_but_events_is_left_when_the_video_is_deleted_in_any_state(  # noqa: PLR0917 - state, way, parts
    state: Callable[[Faults, FakeContainers], Video],
    how: Callable[[Video, Client], None],
    faults: Faults,
    hall: FakeContainers,
    batch_client: BatchClient,
    admin_client: Client,
) -> None:
    video = state(faults, hall)
    job = Job.objects.get(video=video)
    source = str(video.source)
    made = default_storage.save(f"{job_folder(job)}/video-0000-f1-abc/720p.mp4", ContentFile(b"object"))
    how(video, admin_client)
    faults.reset()
    run_rounds_until(lambda: not Video.objects.filter(pk=video.pk).exists(), what="the end of the rows")
    assert not default_storage.exists(made)
    assert not default_storage.exists(source)
    assert [model.objects.count() for model in (Job, Attempt, Unit)] == [0, 0, 0]
    assert {"job.request", "video.delete", "video.purge"} <= set(
        Event.objects.filter(video_id=video.pk).values_list("kind", flat=True)
    )
    run_rounds_until(lambda: not unfinished_batch_jobs(batch_client), what="the end of the Batch job")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("kind", ["slow", "drop_after", "hang_after"])
def test_batch_job_is_ended_when_its_job_is_cancelled_while_submit_job_is_under_way(
    kind: str, faults: Faults, hall: FakeContainers, batch_client: BatchClient
) -> None:
    hold = {} if kind == "drop_after" else {"hold_s": 1}
    fault = faults.plant(kind, operation="SubmitJob", **hold)
    job = Job.objects.get(video=uploaded_video())
    submitting = threading.Thread(target=submit_and_close)
    submitting.start()
    wait_for(lambda: faults.applied(fault), what="SubmitJob")
    assert cancel_job(job_id=job.pk)
    submitting.join()
    run_rounds_until(lambda: not unfinished_batch_jobs(batch_client), what="the end of the Batch job")
    assert Attempt.objects.get(job=job).state == "CANCELLED"
    hall.doors.set()
    job.refresh_from_db()
    assert (job.state, Unit.objects.count()) == ("CANCELLED", 0)


def submit_and_close() -> None:
    try:
        submit_tick()
    finally:
        connection.close()


@pytest.mark.usefixtures("quick")
def test_encoder_is_gone_and_all_is_purged_when_the_video_is_deleted_in_mid_encode(tmp_path: Path) -> None:
    video = upload(make_clip(tmp_path / "long.mp4", pictures=1800, rate="30", size="854x480"))
    attempt = run_rounds_until(
        Attempt.objects.filter(job__video=video, state="RUNNING").first, what="a container at work"
    )
    container = container_pid(attempt.batch_job_id)
    wait_for(Unit.objects.filter(attempt=attempt, kind="video", state="LEASED").exists, what="a video unit")
    (encoder, *_) = wait_for(lambda: encoder_pids(container), what="an encoder")
    video.delete()
    wait_for(lambda: not is_alive(encoder), limit_s=GONE_LIMIT_S, what="the encoder's end")
    wait_for(lambda: not is_alive(container), limit_s=GONE_LIMIT_S, what="the container's end")
    run_rounds_until(lambda: not Video.objects.filter(pk=video.pk).exists(), what="the end of the rows")
    assert not default_storage.exists(str(video.source))
