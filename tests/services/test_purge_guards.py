"""What a viewer may be watching stays, whatever else there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.models import Attempt, Job, Tick, Video
from tasks.services.claim import job_prefix
from tasks.services.reap import reap
from tasks.services.request import request_by_person
from tests.services.making import age, published

if TYPE_CHECKING:
    from tests.services.making import ScriptedBatch

pytestmark = pytest.mark.django_db


def test_publication_stays_when_it_is_the_one_that_is_shown_though_there_is_a_newer_one(batch: ScriptedBatch) -> None:
    Tick.objects.get_or_create(name="reap")
    video = published()
    shown = Job.objects.get(pk=video.published_job_id)
    key = default_storage.save(f"{job_prefix(shown)}/publish-0000-f1-x/master.m3u8", ContentFile(b"object"))
    Job.objects.update(tidied_at=shown.finished_at)
    request_by_person(video_id=video.pk)
    assert published(video).published_job_id != shown.pk
    # An operator went back to the older version by hand.
    Video.objects.update(published_job=shown)
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)
    assert reap(batch=batch).purged_jobs == 0
    assert default_storage.exists(key)
