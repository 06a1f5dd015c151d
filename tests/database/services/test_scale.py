"""Helpers: how many containers a job gets, what they count for, and when they leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.models.functions import Now

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent
from tasks.models import Attempt, Event, GrantCounter, Job, Unit, Video
from tasks.services.container_api.claim import NothingToLease, lease_unit
from tasks.services.container_api.finish import fail_attempt, finish_attempt, finish_unit
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_missing_jobs
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.budget import budget_usage
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.grant import read_queues
from tasks.services.ticks.resume import resume_idle
from tasks.services.ticks.scale import grant_helpers
from tasks.services.ticks.submit import submit_due
from tests.factories import (
    ScriptedBatch,
    age,
    claimed,
    finished_media,
    leased,
    planned,
    submitted_attempt,
    uploaded_video,
)

if TYPE_CHECKING:
    from pytest_django import Settings

    from tasks.services.container_api.claim import Claim

pytestmark = pytest.mark.django_db

LECTURE_S = 12_960.0
"""CPU seconds of a 3 h lecture: 22 containers of two slots with 300 s each."""


@pytest.fixture(autouse=True)
def _target(settings: Settings) -> None:
    settings.BATCHREEL = {"helper_target_s": 300, "early_work_s_per_gb": 2000, "max_early_helpers": 15}


@pytest.fixture
def lead(batch: ScriptedBatch) -> Claim:
    """Return the claim of a lead that has planned a 3 h lecture of 180 units."""
    claim = claimed(submitted_attempt(uploaded_video(), batch=batch))
    planned(claim, video_units=180, encode_cost_s=LECTURE_S)
    return claim


def helpers() -> list[Attempt]:
    return list(Attempt.objects.filter(helps__isnull=False).select_related("job").order_by("number"))


def lose(claim: Claim, reason: Reason = Reason.SPOT_INTERRUPTION) -> None:
    attempt = read_attempt(lock_job(claim.job_id), claim.number)
    end_attempt(attempt, AttemptEvent.LOSE, reason=reason)


def next_round(batch: ScriptedBatch) -> Claim:
    """Submit the job again, and return the claim of its new lead."""
    age(Job, "next_attempt_at", seconds=700)
    submit_due(batch=batch)
    return claimed(Attempt.objects.filter(helps=None).select_related("job").latest("number"))


def test_lecture_gets_its_helpers_when_it_is_planned(lead: Claim, batch: ScriptedBatch, settings: Settings) -> None:
    settings.VIDEO_BATCH_JOB_QUEUE, settings.VIDEO_BATCH_HELPER_QUEUE = "leads", "helpers"
    submit_due(batch=batch)
    submit_due(batch=batch)
    assert len(helpers()) == 21
    assert {each.helps for each in helpers()} == {lead.number}
    assert {each.queue for each in batch.submissions[1:]} == {"helpers"}
    assert Job.objects.get().fence == 22
    assert Event.objects.filter(kind="job.help").count() == 21
    submit_due(batch=batch)
    assert len(helpers()) == 21


@pytest.fixture
def large(batch: ScriptedBatch) -> Video:
    """Return a video of 6 GB, of which nothing else is known."""
    return uploaded_video(source_bytes=6_000_000_000)


def test_helpers_start_with_their_lead_when_the_source_is_large(large: Video, batch: ScriptedBatch) -> None:
    submit_due(batch=batch)
    assert Attempt.objects.get(helps=None).number == 1
    # 12,000 s for two slots of 300 s are 20 containers; a guess gets no more than 15 helpers.
    assert [each.helps for each in helpers()] == [1] * 15
    assert len(batch.submissions) == 16
    submit_due(batch=batch)
    assert len(helpers()) == 15


@pytest.mark.parametrize("source_bytes", [None, 0, 299_000_000])
def test_no_helper_starts_with_the_lead_when_the_source_is_small_or_of_unknown_size(
    source_bytes: int | None, batch: ScriptedBatch
) -> None:
    uploaded_video(source_bytes=source_bytes)
    submit_due(batch=batch)
    assert helpers() == []


def test_number_of_helpers_follows_the_plan_when_there_is_one(large: Video, batch: ScriptedBatch) -> None:
    submit_due(batch=batch)
    planned(claimed(Attempt.objects.get(helps=None)), video_units=20, encode_cost_s=1800)
    submit_due(batch=batch)
    assert [each.state for each in helpers()].count("CANCELLED") == 13


def test_no_helper_starts_with_the_lead_when_nobody_waits_for_the_video(batch: ScriptedBatch) -> None:
    Video.objects.bulk_create([Video(title="imported", source="imported.mp4", source_bytes=6_000_000_000)])
    assert request_missing_jobs(limit=1) == 1
    submit_due(batch=batch)
    assert helpers() == []


def test_no_helper_starts_with_the_lead_when_the_size_is_that_of_another_source(
    large: Video, batch: ScriptedBatch
) -> None:
    Video.objects.update(source="newer.mp4")
    submit_due(batch=batch)
    assert helpers() == []


def test_short_video_gets_no_helper_when_it_is_planned(batch: ScriptedBatch) -> None:
    planned(claimed(submitted_attempt(uploaded_video(), batch=batch)), video_units=20, encode_cost_s=599)
    submit_due(batch=batch)
    assert helpers() == []


def test_helpers_stop_at_the_queues_size_when_many_jobs_want_them(
    lead: Claim, batch: ScriptedBatch, settings: Settings
) -> None:
    settings.VIDEO_BATCH_HELPER_QUEUE = "helpers"
    other = claimed(submitted_attempt(uploaded_video(), batch=batch))
    planned(other, video_units=180, encode_cost_s=LECTURE_S)
    Attempt.objects.filter(helps__isnull=False).delete()
    batch.vcpus = 60
    GrantCounter.objects.update(queue_read_at=None)
    read_queues(batch=batch)
    for _ in range(5):
        submit_due(batch=batch)
    assert len(helpers()) == 30 - 2, "two leads"
    assert len([each for each in helpers() if each.job_id == lead.job_id]) == 21, "the older upload comes first"


def test_helpers_of_a_cancelled_job_take_up_room_when_their_batch_jobs_have_not_ended(
    lead: Claim, batch: ScriptedBatch, settings: Settings
) -> None:
    settings.VIDEO_BATCH_HELPER_QUEUE = "helpers"
    other = claimed(submitted_attempt(uploaded_video(), batch=batch))
    planned(other, video_units=180, encode_cost_s=LECTURE_S)
    Attempt.objects.filter(helps__isnull=False).delete()
    batch.vcpus = 60
    GrantCounter.objects.update(queue_read_at=None)
    read_queues(batch=batch)
    assert {each.job_id for each in map(submitted, grant_helpers(limit=21))} == {lead.job_id}
    cancel_job(job_id=lead.job_id)
    assert len(grant_helpers(limit=100)) == 30 - 21 - 2
    Attempt.objects.filter(job=lead.job_id).update(batch_status="FAILED")
    assert len(grant_helpers(limit=100)) == 21 - 7


@pytest.mark.django_db(transaction=True)
def test_number_of_helpers_is_exact_when_many_runs_grant_at_once(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "max_in_batch": 40}
    for number in range(6):
        planned(
            claimed(submitted_attempt(uploaded_video(title=str(number)), batch=batch)),
            video_units=180,
            encode_cost_s=LECTURE_S,
        )
    Attempt.objects.filter(helps__isnull=False).delete()

    def grant() -> int:
        try:
            return len(grant_helpers(limit=100))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda _: grant(), range(16)))
    assert sum(granted) == len(helpers()) == 40 - 6


def test_waiting_helpers_are_cancelled_when_little_work_is_left(lead: Claim, batch: ScriptedBatch) -> None:
    grant_helpers(limit=100)
    first = claimed(submitted(helpers()[0]))
    Unit.objects.filter(kind="video", index__gte=8).update(state="DONE", output={}, leased_at=Now(), done_at=Now())
    submit_due(batch=batch)
    states = [each.state for each in helpers()]
    assert (states.count("RUNNING"), states.count("CANCELLED")) == (1, 20)
    assert {each.reason for each in helpers()[1:]} == {"NOT_NEEDED"}
    assert (lead.number, first.number) == (1, 2)


def submitted(attempt: Attempt) -> Attempt:
    Attempt.objects.filter(pk=attempt.pk).update(state="SUBMITTED", batch_job_id=f"batch-{attempt.pk}")
    attempt.refresh_from_db()
    return attempt


def test_round_counts_once_when_all_its_containers_fail(lead: Claim) -> None:
    claims = [lead, *(claimed(submitted(each)) for each in grant_helpers(limit=7))]
    for claim in claims:
        fail_attempt(claim, reason=Reason.OUT_OF_MEMORY, text="", exit_code=1)
    assert Attempt.objects.filter(counted=True).count() == 8
    assert budget_usage(Job.objects.get()).counted == 1
    memory = {each.memory_mib for each in Attempt.objects.all()}
    assert len(memory) == 1


def test_memory_is_raised_once_when_a_round_ran_out_of_it(lead: Claim, batch: ScriptedBatch) -> None:
    for claim in [lead, *(claimed(submitted(each)) for each in grant_helpers(limit=7))]:
        fail_attempt(claim, reason=Reason.OUT_OF_MEMORY, text="", exit_code=1)
    second = next_round(batch)
    assert Attempt.objects.get(number=second.number).memory_mib == 3500 * 1.5
    assert {each.memory_mib for each in helpers() if each.helps == second.number} == {3500 * 1.5}


def test_zone_is_one_loss_when_it_takes_thirty_helpers(batch: ScriptedBatch, lead: Claim, settings: Settings) -> None:
    settings.BATCHREEL = {"max_consecutive_losses": 2}
    claims = [lead, *(claimed(submitted(each)) for each in grant_helpers(limit=21))]
    for claim in claims:
        lose(claim)
    job = Job.objects.get()
    assert (job.state, budget_usage(job).consecutive_losses) == ("RETRY_WAIT", 1)
    lose(next_round(batch))
    age(Job, "next_attempt_at", seconds=700)
    submit_due(batch=batch)
    assert Job.objects.get().reason == "TOO_MANY_LOSSES"


def test_round_does_not_count_when_one_of_its_containers_finished_a_unit(lead: Claim) -> None:
    helper = claimed(submitted(grant_helpers(limit=1)[0]))
    finish_unit(helper, leased(helper), output={})
    for claim in (lead, helper):
        fail_attempt(claim, reason=Reason.TRANSCODE_FAILED, text="", exit_code=1)
    usage = budget_usage(Job.objects.get())
    assert (usage.counted, usage.undecided, usage.consecutive_losses) == (0, 0, 0)


def test_job_is_retried_when_only_waiting_helpers_are_left(lead: Claim) -> None:
    waiting = grant_helpers(limit=3)
    lose(lead)
    job = Job.objects.get()
    assert job.state == "RETRY_WAIT"
    assert [(each.state, each.reason) for each in helpers()] == [("CANCELLED", "ROUND_ENDED")] * len(waiting)


@pytest.mark.long
def test_job_goes_on_when_a_helper_outlives_the_lead(lead: Claim, batch: ScriptedBatch) -> None:
    helper = claimed(submitted(grant_helpers(limit=1)[0]))
    lose(lead)
    job = Job.objects.get()
    assert (job.state, resume_idle()) == ("RUNNING", 0)
    submit_due(batch=batch)
    assert len(helpers()) == 21, "the round continues, with all its helpers"
    finished_media(helper)
    assert leased(helper).kind == "publish", "the last one out publishes"


def test_last_container_stays_when_only_waiting_helpers_are_left(lead: Claim) -> None:
    helper = claimed(submitted(grant_helpers(limit=3)[0]))
    lease = leased(helper)
    lose(lead)
    finish_unit(helper, lease, output={})
    assert finish_attempt(helper) is False


def test_helper_waits_when_it_starts_before_the_plan_is_made(batch: ScriptedBatch) -> None:
    lead = claimed(submitted_attempt(uploaded_video(), batch=batch))
    lease = leased(lead)
    assert lease.kind == "plan"
    Job.objects.update(fence=2)
    early = Attempt.objects.create(
        job_id=lead.job_id, number=2, helps=1, batch_job_name="early", vcpus=2, memory_mib=3500, timeout_s=3600
    )
    helper = claimed(submitted(Attempt.objects.select_related("job").get(pk=early.pk)))
    assert lease_unit(helper, lease_id="x" * 12) is NothingToLease.PLAN_FIRST


def test_round_gets_no_more_helpers_when_five_of_them_failed(lead: Claim, batch: ScriptedBatch) -> None:
    for each in grant_helpers(limit=5):
        fail_attempt(claimed(submitted(each)), reason=Reason.TRANSCODE_FAILED, text="", exit_code=1)
    submit_due(batch=batch)
    assert len(helpers()) == 5
    assert lead.number == 1
