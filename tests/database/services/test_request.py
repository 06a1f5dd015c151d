"""Requests: one per source, never two active jobs, none after a rollback."""

from __future__ import annotations

import uuid

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from tasks.lifecycle.errors import ConflictError, NotFoundError
from tasks.lifecycle.reasons import Reason
from tasks.models import Event, Job, Video
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_again, request_automatically, request_missing_jobs, revive
from tasks.signals import upload_completed
from tests.factories import claimed, published, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db


def test_uploaded_video_gets_one_job_when_it_is_saved() -> None:
    video = uploaded_video()
    job = Job.objects.get(video=video)
    assert (job.state, job.automatic, job.source_name, job.profile) == ("QUEUED", True, video.source.name, "standard")
    assert list(Event.objects.filter(job_id=job.pk).values_list("kind", flat=True)) == ["job.request"]


def test_published_video_gets_no_new_job_when_it_is_saved_again() -> None:
    video = published()
    video.title = "Another title"
    video.save()
    video.save(update_fields=["title"])
    assert Job.objects.filter(video=video).count() == 1


def test_job_is_not_requested_when_the_transaction_rolls_back() -> None:
    class ChangeOfMindError(Exception):
        pass

    @transaction.atomic
    def save_and_change_mind() -> None:
        uploaded_video()
        raise ChangeOfMindError

    with pytest.raises(ChangeOfMindError):
        save_and_change_mind()
    assert (Video.objects.count(), Job.objects.count(), Event.objects.count()) == (0, 0, 0)


def test_video_without_a_job_gets_one_when_bulk_create_sent_no_signal() -> None:
    Video.objects.bulk_create([Video(title="a", source="sources/a.mp4"), Video(title="b", source="sources/b.mp4")])
    assert Job.objects.count() == 0
    assert request_missing_jobs(limit=10) == 2
    assert request_missing_jobs(limit=10) == 0
    assert Job.objects.count() == 2


def test_incomplete_upload_gets_no_job_when_its_object_is_missing() -> None:
    video = Video.objects.create(title="direct upload", source="sources/later.mp4", source_complete=False)
    assert request_missing_jobs(limit=10) == 0
    Video.objects.filter(pk=video.pk).update(source_complete=True)
    upload_completed.send(Video, video=video)
    assert Job.objects.filter(video=video).count() == 1


def test_older_job_is_superseded_when_a_new_source_is_uploaded() -> None:
    video = uploaded_video()
    attempt = submitted_attempt(video)
    claimed(attempt)
    video.source.save("better.mp4", ContentFile(b"better"))
    attempt.refresh_from_db()
    old, new = Job.objects.filter(video=video).order_by("created_at")
    assert (old.state, old.reason, attempt.state) == ("CANCELLED", Reason.SUPERSEDED, "CANCELLED")
    assert (new.state, new.source_name) == ("QUEUED", video.source.name)


def test_manual_request_returns_the_active_job_when_there_is_one() -> None:
    video = uploaded_video()
    requested = request_again(video_id=video.pk)
    assert (requested.created, requested.job_id) == (False, Job.objects.get(video=video).pk)


def test_manual_request_creates_a_job_when_the_last_one_has_ended() -> None:
    video = uploaded_video()
    cancel_job(job_id=Job.objects.get(video=video).pk)
    assert request_again(video_id=video.pk).created
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.filter(video=video).count() == 2


def test_request_is_rejected_with_a_fix_when_the_video_has_no_source() -> None:
    video = Video.objects.create(title="no file", source="", source_complete=True)
    with pytest.raises(ConflictError, match="Upload the file again"):
        request_again(video_id=video.pk)
    with pytest.raises(NotFoundError):
        request_again(video_id=uuid.uuid4())


def _dead_job(video: Video) -> Job:
    job = Job.objects.get(video=video)
    Job.objects.filter(pk=job.pk).update(state="DEAD", reason=Reason.ATTEMPTS_EXHAUSTED, next_attempt_at=None, fence=5)
    return job


def test_dead_job_gets_all_attempts_again_when_an_operator_revives_it() -> None:
    job = _dead_job(uploaded_video())
    revive(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.budget_from) == ("QUEUED", 5)
    assert job.next_attempt_at is not None


def test_revival_is_rejected_when_a_newer_job_exists() -> None:
    video = uploaded_video()
    job = _dead_job(video)
    request_again(video_id=video.pk)
    with pytest.raises(ConflictError, match="newer job"):
        revive(job_id=job.pk)
