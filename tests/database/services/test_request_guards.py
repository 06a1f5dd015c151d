"""A job that has ended is an answer too: nothing is asked for again by itself."""

from __future__ import annotations

import pytest

from tasks.models import NEEDS_JOB, Job, Video
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_automatically, request_missing_jobs
from tests.factories import published, uploaded_video

pytestmark = pytest.mark.django_db


def test_nothing_is_overlooked_when_the_jobs_have_ended() -> None:
    video = published()
    cancel_job(job_id=Job.objects.get(video=uploaded_video()).pk)
    assert request_missing_jobs(limit=10) == 0
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.count() == 2


def test_nothing_is_looked_at_again_when_its_job_was_asked_for() -> None:
    uploaded_video()
    assert not Video.objects.filter(NEEDS_JOB).exists()
    Video.objects.update(source="sources/a-newer-one.mp4")
    assert Video.objects.filter(NEEDS_JOB).exists()


def test_nothing_is_asked_for_twice_when_the_first_request_was_not_noted() -> None:
    """As code of an older version leaves it, which does not know the column."""
    video = published()
    cancel_job(job_id=Job.objects.get(video=uploaded_video()).pk)
    Video.objects.update(requested_source="")
    assert request_missing_jobs(limit=10) == 0
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.count() == 2
    assert not Video.objects.filter(NEEDS_JOB).exists()


def test_what_services_wrote_stays_when_an_older_copy_of_the_video_is_saved() -> None:
    video = uploaded_video()
    copy = Video.objects.get(pk=video.pk)
    job = Job.objects.get(video=published(video))
    copy.title = "Another title"
    copy.save()
    found = Video.objects.get(pk=copy.pk)
    assert (found.title, found.published_job, found.requested_source) == ("Another title", job, found.source.name)
