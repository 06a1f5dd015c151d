"""The reserve of AWS Batch's room: bulk retries leave it to uploads; what still runs for deleted videos fills it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db.models.functions import Now

from tasks.lifecycle.observation import BatchStatus
from tasks.models import Attempt, Job
from tasks.services.requests.delete import delete_video
from tasks.services.ticks.grant import current_limits, grant_due, live_leads_count
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import submit_due
from tests.backlog import add_jobs
from tests.factories import ScriptedBatch, age, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.mark.long
def test_upload_is_submitted_next_when_a_zone_lost_a_hundred_bulk_jobs(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"max_in_batch": 200}
    add_jobs(None, 400)
    while submit_due(batch=batch).submitted:
        pass
    for attempt in Attempt.objects.order_by("pk")[:100]:
        batch.set_observation(attempt, BatchStatus.FAILED, status_reason="Your Spot Task was interrupted.")
    observe(batch=batch, tick=0)
    Job.objects.filter(state="RETRY_WAIT").update(next_attempt_at=Now() + timedelta(hours=1))
    submit_due(batch=batch)
    assert Attempt.objects.filter(number=2).count() == 0, "the backoff lets other bulk jobs in first"
    age(Job, "next_attempt_at", seconds=3660)
    while submit_due(batch=batch).submitted:
        pass
    assert live_leads_count() <= current_limits().bulk + 10, "grant 7 of a round may exceed the limit"
    upload = uploaded_video()
    submit_due(batch=batch)
    assert Attempt.objects.filter(job__video=upload).exists()


def test_reclaimed_upload_is_next_when_other_uploads_wait(batch: ScriptedBatch) -> None:
    reclaimed = submitted_attempt(uploaded_video(), batch=batch)
    batch.set_observation(reclaimed, BatchStatus.FAILED, status_reason="Your Spot Task was interrupted.")
    observe(batch=batch, tick=0)
    for number in range(20):
        uploaded_video(title=f"waits longer {number}")
    age(Job, "next_attempt_at", seconds=60)
    grant_due(limit=2)
    assert Attempt.objects.filter(job=reclaimed.job_id, number=2).exists()


def test_reclaimed_bulk_jobs_are_next_when_other_bulk_jobs_wait(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"max_in_batch": 40}
    add_jobs(None, 60)
    while submit_due(batch=batch).submitted:
        pass
    reclaimed = list(Attempt.objects.order_by("-pk")[:5])
    for attempt in reclaimed:
        batch.set_observation(attempt, BatchStatus.FAILED, status_reason="Your Spot Task was interrupted.")
    observe(batch=batch, tick=0)
    age(Job, "next_attempt_at", seconds=60)
    submit_due(batch=batch)
    again = Attempt.objects.filter(number=2).values_list("job", flat=True)
    assert set(again) == {attempt.job_id for attempt in reclaimed}


@pytest.mark.parametrize(("status", "granted"), [("RUNNING", 0), ("FAILED", 1)])
def test_deleted_video_makes_room_when_its_batch_job_has_ended(
    status: str, granted: int, batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"max_in_batch": 1}
    video = uploaded_video()
    submit_due(batch=batch)
    delete_video(video_id=video.pk)
    Attempt.objects.update(batch_status=status)
    uploaded_video()
    assert len(grant_due(limit=10).attempts) == granted
