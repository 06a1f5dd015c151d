"""Granting: a backlog waits in the rows, and uploads and retries are never behind it."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from tasks import tasks
from tasks.batch.errors import BatchDeniedError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.turns import ROUND
from tasks.models import Attempt, GrantCounter, Job, OwnerTurn, Tick, Video
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.alerts import overdue_jobs
from tasks.services.ticks.grant import UNKNOWN_QUEUE, current_limits, due_jobs, grant_due, read_queues
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import submit_due
from tests.backlog import accounts, add_jobs
from tests.factories import ScriptedBatch, age, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

IMPORTED = 20_000
OWNERS = 4
IN_BATCH = 40
QUICK_ROUNDS, LONG_ROUNDS = 60, 10_000


def ticks(count: int, batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "aws_batch", lambda: batch)
    for _ in range(count):
        age(Tick, "started_at", seconds=15)
        tasks.submit_tick()


@pytest.fixture
def imported(settings: Settings, batch: ScriptedBatch) -> list[User]:
    """20,000 imported lectures of four owners, one of whom has most of them; as many in Batch as bulk may have."""
    settings.BATCHREEL = {"max_in_batch": IN_BATCH}
    owners = accounts(OWNERS)
    for owner, jobs, hours in zip(owners, (IMPORTED - 3000, 1000, 1000, 1000), (4, 3, 2, 1), strict=True):
        add_jobs(owner, jobs, hours=hours)
    while submit_due(batch=batch).submitted:
        pass
    with connection.cursor() as cursor:
        # As autovacuum does: without it, a join of these rows was planned as if there were few of them.
        cursor.execute("ANALYZE")
    return owners


def test_new_upload_is_submitted_within_two_ticks_when_20000_lectures_were_imported(
    imported: list[User], batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert current_limits().bulk <= IMPORTED - Job.objects.filter(next_attempt_at__isnull=False).count() < IN_BATCH
    upload = uploaded_video()
    before = len(batch.submissions)
    ticks(2, batch, monkeypatch)
    # Grant 7 of a round may follow, for a bulk job.
    assert batch.submissions[before].parameters["job_id"] == str(Job.objects.get(video=upload).pk)
    assert len(batch.submissions) <= before + 2
    assert len(imported) == OWNERS


@pytest.mark.usefixtures("imported")
def test_reclaimed_job_is_submitted_next_when_20000_lectures_were_imported(
    batch: ScriptedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    reclaimed = Attempt.objects.filter(state="SUBMITTED").first()
    assert reclaimed is not None
    batch.set_observation(reclaimed, BatchStatus.FAILED, status_reason="Your Spot Task was interrupted.")
    observe(batch=batch, tick=0)
    age(Job, "next_attempt_at", seconds=60)
    before = len(batch.submissions)
    ticks(1, batch, monkeypatch)
    assert batch.submissions[before].name == f"batchreel-{reclaimed.job_id}-2"


def test_owners_turns_differ_by_at_most_one_when_one_has_most_jobs(imported: list[User]) -> None:
    served = Counter(Attempt.objects.values_list("job__video__owner", flat=True))
    assert set(served) == {owner.pk for owner in imported}
    assert max(served.values()) - min(served.values()) <= 1


@pytest.mark.few(1)
@pytest.mark.parametrize("rounds", [QUICK_ROUNDS, pytest.param(LONG_ROUNDS, marks=pytest.mark.long)])
@pytest.mark.parametrize("live", [0, 1], ids=["with room", "only the reserve is free"])
@pytest.mark.timeout(1200)
def test_no_job_starves_and_owners_take_turns_when_jobs_never_end(rounds: int, live: int, settings: Settings) -> None:
    settings.BATCHREEL = {"max_in_batch": 2}
    one, two, three = accounts(3)
    waiting: dict[str, list[tuple[User | None, int]]] = {
        "upload": [(one, 5), (two, 1)],
        "bulk": [(one, 1), (two, 9), (three, 3), (None, 2)],
        "retry": [(two, 2), (three, 1)],
    }
    limit: dict[Any, int] = {}
    turn_of: dict[Any, tuple[str, Any]] = {}
    for turn, owners in waiting.items():
        for owner, count in owners:
            jobs = add_jobs(owner, count, priority="bulk" if turn == "bulk" else "upload", fence=int(turn == "retry"))
            for job in jobs:
                turn_of[job] = (turn, owner and owner.pk)
                limit[job] = ROUND * len(owners) * count
    for _ in range(live):
        add_live_attempt()
    counts = {turn: {owner and owner.pk: 0 for owner, _ in owners} for turn, owners in waiting.items()}
    last: dict[Any, int] = dict.fromkeys(limit, 0)
    for number in range(1, rounds + 1):
        (attempt,) = grant_due(limit=1).attempts
        turn, owner_id = turn_of[attempt.job_id]
        counts[turn][owner_id] += 1
        assert max(counts[turn].values()) - min(counts[turn].values()) <= 1, (number, turn, counts)
        assert number - last[attempt.job_id] <= limit[attempt.job_id], (number, turn, owner_id)
        last[attempt.job_id] = number
        put_back(attempt, fence=int(turn == "retry"))
    assert all(rounds - at <= limit[job_id] for job_id, at in last.items())


def add_live_attempt() -> None:
    (job,) = add_jobs(None, 1)
    Job.objects.filter(pk=job).update(fence=1, next_attempt_at=None)
    Attempt.objects.create(job_id=job, number=1, batch_job_name="live", vcpus=1, memory_mib=1, timeout_s=60)


def put_back(attempt: Attempt, *, fence: int) -> None:
    """Make the attempt's job wait again, as the newest of its owner."""
    attempt.delete()
    Job.objects.filter(pk=attempt.job_id).update(state="QUEUED", fence=fence, next_attempt_at=Now())


def test_oldest_job_of_an_owner_is_next_when_several_wait() -> None:
    jobs = add_jobs(None, 3)
    assert [attempt.job_id for attempt in grant_due(limit=2).attempts] == jobs[:2]


def test_grants_stop_at_the_limit_when_more_jobs_are_due(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"max_in_batch": 6}
    add_jobs(None, 10, priority="upload")
    add_jobs(None, 10)
    submit_due(batch=batch)
    assert Counter(Attempt.objects.values_list("job__priority", flat=True)) == {"upload": 6}
    Attempt.objects.filter(job__priority="upload").update(
        state="CANCELLED", reason="CANCELLED", counted=False, ended_at=Now(), batch_status="FAILED"
    )
    Job.objects.filter(priority="upload").update(state="CANCELLED", reason="CANCELLED", next_attempt_at=None)
    submit_due(batch=batch)
    # Grant 7 may exceed the limit of bulk jobs by one.
    assert current_limits().bulk <= Attempt.objects.filter(job__priority="bulk").count() <= current_limits().bulk + 1


@pytest.mark.django_db(transaction=True)
def test_limit_is_exact_when_many_runs_grant_at_once(settings: Settings) -> None:
    settings.BATCHREEL = {"max_in_batch": 10}
    for number in range(40):
        uploaded_video(title=str(number))

    def grant() -> int:
        try:
            granted = 0
            while Attempt.objects.count() < 10:
                granted += len(grant_due(limit=2).attempts)
            return granted
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        granted = [each.result(timeout=60) for each in [threads.submit(grant) for _ in range(6)]]
    assert sum(granted) == 10
    assert GrantCounter.objects.get().granted == Attempt.objects.count() == 10


def test_limit_follows_the_queue_when_aws_reports_its_vcpus(batch: ScriptedBatch, settings: Settings) -> None:
    assert current_limits().total == UNKNOWN_QUEUE
    batch.vcpus = 288
    read_queues(batch=batch)
    assert (current_limits().total, current_limits().bulk) == (288, 158)
    settings.BATCHREEL = {"vcpus": 8}
    assert current_limits().total == 72
    settings.BATCHREEL = {"max_in_batch": 5}
    assert current_limits().total == 5


def test_last_known_queue_stays_when_aws_denies_reading_it(batch: ScriptedBatch) -> None:
    batch.vcpus = 64
    for _ in range(2):
        read_queues(batch=batch)
    assert batch.queue_reads == 2, "the leads' queue and the helpers'"
    batch.describe_error = BatchDeniedError("AccessDenied")
    age(GrantCounter, "queue_read_at", seconds=301)
    read_queues(batch=batch)
    read_queues(batch=batch)
    assert (batch.queue_reads, current_limits().total) == (4, 64)


def test_next_upload_waits_behind_few_others_when_one_owner_uploads_very_many(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"max_in_batch": IN_BATCH}
    busy, other = accounts(2)
    add_jobs(busy, 5)
    submit_due(batch=batch)
    add_jobs(busy, 2 * IN_BATCH, priority="upload", hours=3)
    for _ in range(3):
        submit_due(batch=batch)
    of_busy = Attempt.objects.filter(job__video__owner=busy, job__priority="upload")
    assert of_busy.count() == current_limits().owner < IN_BATCH - 5
    age(Job, "next_attempt_at", seconds=601)
    assert overdue_jobs().count() == 0, "they wait for their owner's turn"
    (upload,) = add_jobs(other, 1, priority="upload")
    (unowned,) = add_jobs(None, 1, priority="upload")
    submit_due(batch=batch)
    assert {str(upload), str(unowned)} <= {each.parameters["job_id"] for each in batch.submissions}
    assert of_busy.count() == current_limits().owner


def test_imported_video_is_a_bulk_job_when_only_a_tick_found_it() -> None:
    Video.objects.bulk_create([Video(title="old", source="sources/old.mp4")])
    request_missing_jobs(limit=10)
    uploaded_video()
    assert sorted(Job.objects.values_list("priority", flat=True)) == ["bulk", "upload"]


def test_waiting_backlog_is_not_overdue_when_batch_is_full(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"max_in_batch": 8}
    add_jobs(None, 20)
    submit_due(batch=batch)
    age(Job, "next_attempt_at", seconds=601)
    assert overdue_jobs().count() == 0
    add_jobs(None, 1, priority="upload")
    age(Job, "next_attempt_at", seconds=601)
    assert overdue_jobs().get().priority == "upload"
    submit_due(batch=batch)
    add_jobs(None, 5, priority="upload")
    submit_due(batch=batch)
    age(Job, "next_attempt_at", seconds=601)
    assert Attempt.objects.count() == 8, "the limit is reached"
    assert overdue_jobs().count() == 0
    Attempt.objects.all().delete()
    assert overdue_jobs().count() == due_jobs().count() > 10


def test_others_are_granted_when_a_jobs_rows_cannot_be_used(caplog: pytest.LogCaptureFixture) -> None:
    bad, *good = add_jobs(None, 3, priority="upload")
    Attempt.objects.create(
        job_id=bad,
        number=1,
        batch_job_name="taken",
        vcpus=2,
        memory_mib=1,
        timeout_s=60,
        state="FAILED",
        reason="EXIT_CODE",
        ended_at=Now(),
    )
    summary = grant_due(limit=10)
    assert [attempt.job_id for attempt in summary.attempts] == good
    assert "GRANT_FAILED" in caplog.text
    assert due_jobs().count() == 0, "the bad one waits"
    assert Job.objects.filter(pk=bad, next_attempt_at__gt=Now() + timedelta(seconds=500)).exists()


@pytest.mark.usefixtures("imported")
def test_full_batch_costs_few_statements_when_20000_jobs_wait(batch: ScriptedBatch) -> None:
    with CaptureQueriesContext(connection) as statements:
        assert submit_due(batch=batch).submitted == 0
    assert len(statements) <= 24, [each["sql"][:80] for each in statements]
    assert not [each for each in statements if "'bulk'" in each["sql"] and "row_number" in each["sql"]]


def test_owners_have_one_row_each_when_they_are_served_often() -> None:
    (owner,) = accounts(1)
    add_jobs(owner, 3)
    for _ in itertools.repeat(None, 3):
        grant_due(limit=1)
    assert list(OwnerTurn.objects.values_list("owner", "turn", "number")) == [(str(owner.pk), "bulk", 3)]
