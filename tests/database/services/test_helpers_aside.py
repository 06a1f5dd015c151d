"""Helpers come second: no fault of theirs, nor of their queue, holds up a lead or the work of other containers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from tasks.batch.errors import BatchDeniedError, BatchError, BatchRejectedError
from tasks.container.failures import failure_of
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, GrantCounter, Job, Unit
from tasks.services.container_api.finish import fail_attempt, finish_unit, replan
from tasks.services.state.budget import budget_usage
from tasks.services.ticks.grant import read_queues
from tasks.services.ticks.scale import grant_helpers
from tasks.services.ticks.submit import submit_due, take_due
from tasks.transcode import EncodeError
from tests.factories import ScriptedBatch, age, claimed, helper_of, leased, planned, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

    from tasks.batch.port import Submission
    from tasks.services.container_api.claim import Claim

pytestmark = pytest.mark.django_db

LECTURE_S = 12_960.0
"""CPU seconds of a 3 h lecture: 22 containers of two slots with 300 s each."""


@pytest.fixture(autouse=True)
def _queues(settings: Settings) -> None:
    settings.BATCHREEL = {"helper_target_s": 300, "max_early_helpers": 0}
    settings.VIDEO_BATCH_JOB_QUEUE, settings.VIDEO_BATCH_HELPER_QUEUE = "leads", "helpers"


@pytest.fixture
def lead(batch: ScriptedBatch) -> Claim:
    """Return the claim of a lead that has planned a 3 h lecture of 180 units."""
    claim = claimed(submitted_attempt(uploaded_video(), batch=batch))
    planned(claim, video_units=180, encode_cost_s=LECTURE_S)
    return claim


class HelperlessBatch(ScriptedBatch):
    """AWS Batch with a job queue for helpers that accepts none."""

    error: BatchError

    def submit(self, submission: Submission) -> str:
        self.submit_error = self.error if submission.queue == "helpers" else None
        return super().submit(submission)


@pytest.mark.parametrize("error", [BatchRejectedError("DISABLED"), BatchDeniedError("no policy")], ids=type)
def test_leads_are_submitted_when_the_helpers_queue_accepts_none(error: BatchError, lead: Claim) -> None:
    batch = HelperlessBatch()
    batch.error = error
    for _ in range(3):
        submit_due(batch=batch)
        age(Attempt, "submit_at", seconds=31)
    assert Attempt.objects.filter(helps=lead.number, state="SUBMITTING").count() == 21
    # One of them needs no more than a tick, however many helpers are due.
    videos = [uploaded_video(title=f"upload {number}") for number in range(30)]
    submit_due(batch=batch)
    assert Attempt.objects.filter(job__video__in=videos, state="SUBMITTED").count() == len(videos)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["granted", "cancelled"])
def test_leads_are_taken_at_once_when_a_job_with_helpers_is_locked(change: str, lead: Claim) -> None:
    if change == "cancelled":
        grant_helpers(limit=3)
        Unit.objects.filter(job=lead.job_id, kind="video", index__gt=2).update(
            state="DONE", leased_at=Now(), done_at=Now()
        )
    uploaded_video(title="next")

    def take() -> list[bool]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return [attempt.is_helper for attempt in take_due(limit=10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        Job.objects.select_for_update().get(pk=lead.job_id)
        started_s = time.monotonic()
        assert threads.submit(take).result(timeout=20) == [False]
        assert time.monotonic() - started_s < 1


def test_leads_are_taken_when_helpers_cannot_be_granted(lead: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr("tasks.services.ticks.scale.create_attempt", fail)
    uploaded_video(title="next")
    assert [attempt.is_helper for attempt in take_due(limit=10)] == [False]
    assert Attempt.objects.filter(helps=lead.number).count() == 0


def test_helpers_wait_for_the_limit_of_attempts_when_one_is_set(lead: Claim, settings: Settings) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "max_in_batch": 8}
    assert len(grant_helpers(limit=100)) == 7
    assert lead.number == 1


def test_waiting_helpers_of_bulk_jobs_leave_when_an_upload_has_no_room(batch: ScriptedBatch) -> None:
    bulk = claimed(submitted_attempt(uploaded_video(title="imported"), batch=batch))
    Job.objects.filter(pk=bulk.job_id).update(priority="bulk")
    planned(bulk, video_units=180, encode_cost_s=LECTURE_S)
    batch.vcpus = 20
    GrantCounter.objects.bulk_create([GrantCounter(name="helpers")], ignore_conflicts=True)
    GrantCounter.objects.update(queue_read_at=None)
    read_queues(batch=batch)
    assert len(grant_helpers(limit=100)) == 9
    upload = claimed(submitted_attempt(uploaded_video(title="upload"), batch=batch))
    planned(upload, video_units=180, encode_cost_s=LECTURE_S)
    grant_helpers(limit=100)
    of_bulk, of_upload = (Attempt.objects.filter(job=each.job_id, helps=1) for each in (bulk, upload))
    assert of_bulk.filter(state="CANCELLED", reason=Reason.NOT_NEEDED).count() == 9
    grant_helpers(limit=100)
    assert of_upload.filter(state="SUBMITTING").count() == 8
    assert of_bulk.exclude(state="CANCELLED").count() == 0


def test_finished_work_is_kept_when_a_container_of_another_engine_joins(lead: Claim) -> None:
    finish_unit(lead, leased(lead), output={})
    newcomer = claimed(helper_of(lead))
    lease = leased(newcomer)
    assert replan(newcomer, lease, why="another engine") is False
    assert Unit.objects.filter(job=lead.job_id, state="DONE").count() == 2, "the plan and a unit"
    code, reason, text = failure_of(EncodeError(code="ENGINE_CHANGED", message="5, not 6"), was_out_of_memory=False)
    fail_attempt(newcomer, reason=reason, text=text, exit_code=int(code))
    attempt = Attempt.objects.get(pk=newcomer.attempt_id)
    assert (attempt.reason, attempt.counted) == ("ENGINE_DIFFERS", False)
    assert Job.objects.get(pk=lead.job_id).state == "RUNNING"
    assert lease.kind in {"video", "audio"}


def test_job_is_planned_again_when_the_containers_of_the_other_engine_have_ended(lead: Claim) -> None:
    finish_unit(lead, leased(lead), output={})
    newcomer = claimed(helper_of(lead))
    fail_attempt(lead, reason=Reason.SIGTERM, text="", exit_code=143)
    assert replan(newcomer, leased(newcomer), why="another engine") is True
    assert [unit.kind for unit in Unit.objects.filter(job=lead.job_id)] == ["plan"]


def test_planning_is_tried_once_a_round_when_it_fails(batch: ScriptedBatch) -> None:
    lead = claimed(submitted_attempt(uploaded_video(), batch=batch))
    assert leased(lead).kind == "plan"
    helper = claimed(helper_of(lead))
    fail_attempt(lead, reason=Reason.OUT_OF_MEMORY, text="", exit_code=137)
    assert Attempt.objects.get(pk=helper.attempt_id).reason == "ROUND_ENDED"
    job = Job.objects.get(pk=lead.job_id)
    assert (job.state, budget_usage(job).counted) == ("RETRY_WAIT", 1)


def test_helper_plans_when_the_lead_was_reclaimed_meanwhile(batch: ScriptedBatch) -> None:
    lead = claimed(submitted_attempt(uploaded_video(), batch=batch))
    assert leased(lead).kind == "plan"
    helper = claimed(helper_of(lead))
    fail_attempt(lead, reason=Reason.SIGTERM, text="", exit_code=143)
    assert leased(helper).kind == "plan"


def test_jobs_with_helpers_are_found_by_an_index_when_many_jobs_wait(lead: Claim) -> None:
    active = Job.objects.filter(state__in=["QUEUED", "RUNNING"], fence__gt=0).order_by("-priority", "created_at")
    with connection.cursor() as cursor:
        # A table of a few rows is read and sorted at once.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
    plan = active[:100].explain()
    assert "job_with_container" in plan
    assert "Sort" not in plan
    assert lead.number == 1
