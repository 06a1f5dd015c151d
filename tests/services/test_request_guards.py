"""A job that has ended is an answer too: nothing is asked for again by itself."""

from __future__ import annotations

import pytest

from tasks.models import Job
from tasks.services.cancel import cancel_job
from tasks.services.request import request_automatically, request_overlooked
from tests.services.making import published, uploaded_video

pytestmark = pytest.mark.django_db


def test_nothing_is_overlooked_when_the_jobs_have_ended() -> None:
    video = published()
    cancel_job(job_id=Job.objects.get(video=uploaded_video()).pk)
    assert request_overlooked(limit=10) == 0
    assert request_automatically(video_id=video.pk) is None
    assert Job.objects.count() == 2
