"""What a video leaves in the database: as long as it is needed, all of it, and afterwards only a few small rows."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import F
from django.db.models.functions import Now

from tasks.conf import bridge_settings
from tasks.lifecycle.errors import FencedError
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.selectors.history.timeline import job_timeline, video_timeline
from tasks.services.container_api.finish import reject_input
from tasks.services.container_api.publish import finished_units, read_plan
from tasks.services.removal.expire import expire_events
from tasks.services.removal.purge import prune_jobs, purge, purge_superseded
from tasks.services.requests.request import request_again, revive
from tasks.storage.keys import job_folder
from tests.factories import age, claimed, finished_media, planned, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db

WARNING = {"code": "VARIABLE_RATE", "message": "The file has no constant frame rate."}


@pytest.fixture(autouse=True)
def _tick() -> None:
    Tick.objects.get_or_create(name="purge")


def containers_are_gone() -> None:
    Attempt.objects.update(batch_status="SUCCEEDED")


def dead_job() -> Job:
    """Return a DEAD job whose media units are all finished."""
    claim = claimed(submitted_attempt())
    planned(claim)
    finished_media(claim)
    Attempt.objects.update(state="FAILED", reason="EXIT_CODE", ended_at=Now(), batch_status="FAILED", counted=True)
    Job.objects.update(state="DEAD", reason=Reason.ATTEMPTS_EXHAUSTED, finished_at=Now())
    return Job.objects.get()


def weeks_pass() -> None:
    Event.objects.update(created_at=F("created_at") - timedelta(days=8))
    age(Job, "created_at", "finished_at", seconds=8 * 86400)


def test_plan_and_units_are_removed_when_the_job_was_published(staff: Client) -> None:
    video = published(warnings=[WARNING])
    zombie = Attempt(
        job=Job.objects.get(), number=2, state="LOST", reason="HEARTBEAT_TIMEOUT", vcpus=1, memory_mib=1, timeout_s=60
    )
    zombie.batch_job_name = zombie.batch_job_id = "zombie"
    zombie.claimed_at, zombie.ended_at, zombie.batch_status = Now(), Now(), "RUNNING"
    zombie.save()
    assert prune_jobs(limit=10) == 0, "the zombie may still read them"
    containers_are_gone()
    assert prune_jobs(limit=10) == 1
    job = Job.objects.get()
    assert (job.plan, Unit.objects.count(), job.duration_s) == (None, 0, 4.0)
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert WARNING["message"] in page
    assert job.playlist_key in page


def test_rejected_job_keeps_no_units_when_it_was_pruned() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    reject_input(claim, code="NOT_A_VIDEO", message="No.", exit_code=20)
    containers_are_gone()
    assert prune_jobs(limit=10) == 1
    assert (Job.objects.get().plan, Unit.objects.count()) == (None, 0)


def test_dead_job_keeps_its_work_when_it_can_be_revived() -> None:
    job = dead_job()
    weeks_pass()
    purge()
    assert Unit.objects.filter(state="DONE", output__isnull=False).count() == 4
    assert Event.objects.filter(job_id=job.pk, kind="job.request").exists()
    revive(job_id=job.pk)
    assert read_plan(job.pk) == {"made": "by a test"}
    assert len(finished_units(job.pk)) == 3


def test_dead_job_keeps_nothing_when_its_video_has_a_newer_job() -> None:
    job = dead_job()
    request_again(video_id=job.video_id)
    assert prune_jobs(limit=10) == 1
    assert not Unit.objects.filter(job=job).exists()
    assert Job.objects.get(pk=job.pk).plan is None


def test_late_container_is_fenced_when_its_job_was_pruned() -> None:
    published()
    containers_are_gone()
    prune_jobs(limit=10)
    job = Job.objects.get()
    with pytest.raises(FencedError):
        read_plan(job.pk)
    with pytest.raises(FencedError):
        finished_units(job.pk)


def test_publication_is_kept_when_its_units_were_removed_before() -> None:
    published()
    containers_are_gone()
    prune_jobs(limit=10)
    job = Job.objects.get()
    key = default_storage.save(f"{job_folder(job)}/publish-0000-f1-x/master.m3u8", ContentFile(b"object"))
    Job.objects.update(pruned_at=None)  # as after a restored backup of an earlier day
    assert prune_jobs(limit=10) == 1
    assert default_storage.exists(key)


def test_superseded_publication_keeps_no_units_when_it_was_never_pruned() -> None:
    video = published()
    old = Job.objects.get()
    request_again(video_id=video.pk)
    published(video)
    containers_are_gone()
    age(Job, "superseded_at", seconds=8 * 86400)
    assert purge_superseded(limit=10) == 1
    assert not Unit.objects.filter(job=old).exists()
    assert Job.objects.get(pk=old.pk).plan is None


def test_events_are_removed_when_their_job_ended_longer_than_the_retention_ago() -> None:
    ended = published()
    active = uploaded_video(title="active")
    containers_are_gone()
    assert purge().expired_events == 0, "they are young"
    weeks_pass()
    young = published(uploaded_video(title="young"))
    containers_are_gone()
    prune_jobs(limit=10)
    assert expire_events() > 10
    left = set(Event.objects.values_list("video_id", flat=True))
    assert left == {active.pk, young.pk}
    assert Event.objects.filter(video_id=active.pk, kind="job.request").exists()
    assert ended.pk not in left


def test_events_are_kept_when_their_old_job_was_not_pruned_yet() -> None:
    published()
    weeks_pass()
    assert expire_events() == 0


def test_events_of_deleted_videos_and_ticks_are_removed_when_they_are_old() -> None:
    video = uploaded_video()
    video.delete()
    purge()
    Event.objects.create(kind="tick.failed", text="submit: no response")
    assert not Video.objects.exists()
    weeks_pass()
    expire_events()
    assert not Event.objects.exists()


def test_expiry_reaches_all_events_when_those_that_stay_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    active = [uploaded_video(title=str(number)) for number in range(5)]
    ended = published()
    containers_are_gone()
    prune_jobs(limit=10)
    weeks_pass()
    monkeypatch.setattr("tasks.services.removal.expire._PAGE_EVENTS", 3)
    passed_s = count(step=bridge_settings().purge_time_limit_s * 0.6)
    monkeypatch.setattr("tasks.services.removal.expire.time", SimpleNamespace(monotonic=lambda: next(passed_s)))
    for _ in range(20):
        expire_events()
    assert not Event.objects.filter(video_id=ended.pk).exists()
    assert Event.objects.filter(video_id__in=[video.pk for video in active]).count() >= 5


def test_timeline_shows_request_and_end_when_the_events_have_expired() -> None:
    video = published()
    containers_are_gone()
    before = [entry.label for entry in video_timeline(video.pk)]
    weeks_pass()
    purge()
    purge()
    job = Job.objects.get()
    after = video_timeline(video.pk)
    assert [entry.label for entry in after] == ["The video was published", "Processing was requested"]
    assert {entry.label for entry in after} <= set(before)
    assert [entry.at for entry in after] == [job.finished_at, job.created_at]
    assert [entry.label for entry in job_timeline(job.pk)] == [entry.label for entry in after]


def test_timeline_shows_why_a_job_failed_when_its_events_have_expired() -> None:
    claim = claimed(submitted_attempt())
    reject_input(claim, code="NOT_A_VIDEO", message="This is no video.", exit_code=20)
    containers_are_gone()
    weeks_pass()
    purge()
    purge()
    assert not Event.objects.exists()
    (end, _) = job_timeline(claim.job_id)
    assert (end.label, end.tone) == ("The file was rejected", "bad")
    assert "This is no video." in end.details
