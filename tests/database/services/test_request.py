"""Requests: once per source, never two active jobs, nothing after a rollback."""

from __future__ import annotations

import uuid

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from tasks.lifecycle.errors import ConflictError, NotFoundError
from tasks.lifecycle.reasons import Reason
from tasks.models import Event, Job, Video
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_automatically, request_by_person, request_missing_jobs, revive
from tasks.signals import upload_completed
from tests.factories import claimed, published, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db


def test_upload_gets_one_job_when_it_is_saved() -> None:
    video = uploaded_video()
    job = Job.objects.get(video=video)
    assert (job.state, job.automatic, job.source_name, job.profile) == ("QUEUED", True, video.source.name, "standard")
    assert list(Event.objects.filter(job_id=job.pk).values_list("kind", flat=True)) == ["job.request"]


def test_nothing_new_is_requested_when_a_published_video_is_saved_again() -> None:
    video = published()
    video.title = "Another title"
    video.save()
    video.save(update_fields=["title"])
    assert Job.objects.filter(video=video).count() == 1


def test_nothing_is_requested_when_the_transaction_rolls_back() -> None:
    class ChangeOfMindError(Exception):
        pass

    @transaction.atomic
    def save_and_change_mind() -> None:
        uploaded_video()
        raise ChangeOfMindError

    with pytest.raises(ChangeOfMindError):
        save_and_change_mind()
    assert (Video.objects.count(), Job.objects.count(), Event.objects.count()) == (0, 0, 0)


def test_overlooked_video_gets_its_job_when_bulk_create_sent_no_signal() -> None:
    Video.objects.bulk_create([Video(title="a", source="sources/a.mp4"), Video(title="b", source="sources/b.mp4")])
    assert Job.objects.count() == 0
    assert request_missing_jobs(limit=10) == 2
    assert request_missing_jobs(limit=10) == 0
    assert Job.objects.count() == 2


def test_incomplete_upload_waits_when_the_row_is_saved_before_its_object() -> None:
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


def test_person_gets_the_active_job_when_one_is_under_way() -> None:
    video = uploaded_video()
    requested = request_by_person(video_id=video.pk)
    assert (requested.created, requested.job_id) == (False, Job.objects.get(video=video).pk)


def test_person_may_ask_again_when_the_job_has_ended() -> None:
    video = uploaded_video()
    cancel_job(job_id=Job.objects.get(video=video).pk)
    assert request_by_person(video_id=video.pk).created
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.filter(video=video).count() == 2


def test_request_is_refused_with_the_way_out_when_there_is_nothing_to_transcode() -> None:
    video = Video.objects.create(title="no file", source="", source_complete=True)
    with pytest.raises(ConflictError, match="Upload the file again"):
        request_by_person(video_id=video.pk)
    with pytest.raises(NotFoundError):
        request_by_person(video_id=uuid.uuid4())


def _parked(video: Video) -> Job:
    job = Job.objects.get(video=video)
    Job.objects.filter(pk=job.pk).update(state="DEAD", reason=Reason.ATTEMPTS_EXHAUSTED, next_attempt_at=None, fence=5)
    return job


def test_dead_job_gets_a_new_budget_when_an_operator_revives_it() -> None:
    job = _parked(uploaded_video())
    revive(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.budget_from) == ("QUEUED", 5)
    assert job.next_attempt_at is not None


def test_revival_is_refused_when_a_newer_job_exists() -> None:
    video = uploaded_video()
    job = _parked(video)
    request_by_person(video_id=video.pk)
    with pytest.raises(ConflictError, match="newer job"):
        revive(job_id=job.pk)
