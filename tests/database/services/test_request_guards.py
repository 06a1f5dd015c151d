"""A source with an ended job is not requested again automatically."""

from __future__ import annotations

import pytest

from tasks.models import NEEDS_JOB, Job, Video
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_automatically, request_missing_jobs
from tests.factories import published, uploaded_video

pytestmark = pytest.mark.django_db


def test_video_gets_no_automatic_job_when_its_job_has_ended() -> None:
    video = published()
    cancel_job(job_id=Job.objects.get(video=uploaded_video()).pk)
    assert request_missing_jobs(limit=10) == 0
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.count() == 2


def test_video_does_not_need_a_job_when_its_source_was_requested() -> None:
    uploaded_video()
    assert not Video.objects.filter(NEEDS_JOB).exists()
    Video.objects.update(source="sources/a-newer-one.mp4")
    assert Video.objects.filter(NEEDS_JOB).exists()


def test_source_is_requested_once_when_the_request_was_not_recorded() -> None:
    """The column is empty, as after a request by an older version of the code."""
    video = published()
    cancel_job(job_id=Job.objects.get(video=uploaded_video()).pk)
    Video.objects.update(requested_source="")
    assert request_missing_jobs(limit=10) == 0
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.count() == 2
    assert not Video.objects.filter(NEEDS_JOB).exists()


def test_columns_of_services_are_kept_when_a_stale_video_is_saved() -> None:
    video = uploaded_video()
    copy = Video.objects.get(pk=video.pk)
    job = Job.objects.get(video=published(video))
    copy.title = "Another title"
    copy.save()
    found = Video.objects.get(pk=copy.pk)
    assert (found.title, found.published_job, found.requested_source) == ("Another title", job, found.source.name)
