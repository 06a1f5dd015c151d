"""A break between containers and database: nobody is ended, operators are alerted, and nothing is counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from django.db.models.functions import Now

from tasks.doctor.probes.jobs import check_jobs
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.reconcile import reconcile
from tasks.services.ticks.observe import observe
from tasks.services.ticks.rescue import RescueSummary, rescue
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from tasks.services.container_api.claim import Claim

pytestmark = pytest.mark.django_db

RUNNING = 6
THRESHOLD_S, RETRY_S = 180, 3600


def run_rescue(batch: ScriptedBatch) -> RescueSummary:
    tick, _ = Tick.objects.get_or_create(name="rescue", defaults={"continuous_since": Now()})
    Tick.objects.filter(pk=tick.pk).update(continuous_since=Now(), started_at=Now())
    age(Tick, "continuous_since", seconds=100_000)
    tick.refresh_from_db()
    assert tick.continuous_since is not None
    return rescue(batch=batch, continuous_since=tick.continuous_since)


@pytest.fixture
def claims(batch: ScriptedBatch) -> list[Claim]:
    """Six containers that AWS Batch reports as RUNNING."""
    claims = [claimed(submitted_attempt(uploaded_video(title=str(number)))) for number in range(RUNNING)]
    observe(batch=batch, tick=0)
    Attempt.objects.update(batch_status="RUNNING")
    return claims


def fall_silent(claims: list[Claim], *, seconds: float = THRESHOLD_S + 1) -> None:
    silent = Attempt.objects.filter(pk__in=[claim.attempt_id for claim in claims])
    before = dict(Attempt.objects.values_list("pk", "heartbeat_at"))
    age(Attempt, "heartbeat_at", seconds=seconds)
    for attempt in Attempt.objects.exclude(pk__in=silent):
        Attempt.objects.filter(pk=attempt.pk).update(heartbeat_at=before[attempt.pk])


def beat(claims: list[Claim]) -> None:
    for number, claim in enumerate(claims):
        send_heartbeat(claim, stage="encode", count=number, encoded_frames=number)


def test_containers_are_held_and_operators_alerted_when_many_are_silent_at_once(
    claims: list[Claim], batch: ScriptedBatch, caplog: pytest.LogCaptureFixture
) -> None:
    fall_silent(claims[:3])
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            summary = run_rescue(batch)
            assert (summary.held, summary.rescued) == (3, 0)
    assert batch.terminated == []
    assert Attempt.objects.filter(state="RUNNING").count() == RUNNING
    assert caplog.messages.count("CONTAINERS_CUT_OFF") == 2
    assert Event.objects.filter(kind="containers.cut_off").count() == 1
    (finding,) = [each for each in check_jobs() if each.part == "containers"]
    assert (finding.status.name, "3 containers" in finding.why) == ("FAILED", True)


def test_silent_containers_are_replaced_when_they_are_too_few_for_a_break(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    fall_silent(claims[:2])
    assert run_rescue(batch).rescued == 2


def test_silent_containers_are_replaced_when_one_machine_hangs_with_all_of_its_own(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    hung, others = claims[:3], claims[3:]
    Attempt.objects.filter(pk__in=[claim.attempt_id for claim in hung]).update(machine_id="boot-1")
    Attempt.objects.filter(pk__in=[claim.attempt_id for claim in others]).update(machine_id="boot-2")
    fall_silent(hung)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (0, 3)


def test_silent_containers_are_replaced_when_a_machine_hangs_while_another_container_cannot_start(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    unclaimed = submitted_attempt(uploaded_video(title="does not start"))
    observe(batch=batch, tick=0)
    hung, others = claims[:3], claims[3:]
    Attempt.objects.filter(pk__in=[claim.attempt_id for claim in hung]).update(machine_id="boot-1")
    Attempt.objects.filter(pk__in=[claim.attempt_id for claim in others]).update(machine_id="boot-2")
    Attempt.objects.filter(pk=unclaimed.pk).update(batch_status="RUNNING")
    fall_silent(hung)
    age(Attempt, "batch_status_at", seconds=THRESHOLD_S + 1)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (0, 3)


def test_containers_are_held_when_the_only_machine_is_cut_off(claims: list[Claim], batch: ScriptedBatch) -> None:
    Attempt.objects.update(machine_id="boot-1")
    fall_silent(claims)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (RUNNING, 0)


def test_silent_containers_are_replaced_when_they_fell_silent_one_by_one(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    for number, claim in enumerate(claims[:3]):
        fall_silent([claim], seconds=THRESHOLD_S + 1 + number * 150)
    assert run_rescue(batch).rescued == 3


def test_silent_containers_are_replaced_when_batch_reports_their_hosts_lost(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    fall_silent(claims)
    for attempt in Attempt.objects.all():
        batch.set_observation(
            attempt, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True
        )
    run_rescue(batch)
    assert set(Attempt.objects.values_list("reason", flat=True)) == {Reason.HOST_LOST}
    assert not Event.objects.filter(kind="containers.cut_off").exists()


def test_work_continues_when_containers_return_from_a_break(claims: list[Claim], batch: ScriptedBatch) -> None:
    fall_silent(claims, seconds=RETRY_S)
    age(Attempt, "progressed_at", seconds=RETRY_S)
    assert run_rescue(batch).held == RUNNING
    # They waited for the database in the same place, so the first heartbeat reports no progress.
    for claim in claims[:4]:
        send_heartbeat(claim, stage="claim", count=0, encoded_frames=0)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (0, 0)
    assert Attempt.objects.filter(state="RUNNING").count() == RUNNING


def test_container_that_never_returns_is_replaced_uncounted_when_a_break_ended(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    fall_silent(claims)
    assert run_rescue(batch).held == RUNNING
    age(Attempt, "held_at", "heartbeat_at", seconds=THRESHOLD_S + 1)
    beat(claims[1:])
    assert run_rescue(batch).rescued == 1
    lost = Attempt.objects.get(state="LOST")
    assert (lost.pk, lost.reason, lost.counted) == (claims[0].attempt_id, Reason.CONNECTION_LOST, False)
    assert Job.objects.get(pk=lost.job_id).state == "RETRY_WAIT"


def test_containers_are_given_up_uncounted_when_a_break_outlasts_their_retries(
    claims: list[Claim], batch: ScriptedBatch
) -> None:
    fall_silent(claims)
    assert run_rescue(batch).held == RUNNING
    age(Attempt, "held_at", "heartbeat_at", seconds=RETRY_S + THRESHOLD_S)
    assert run_rescue(batch).rescued == RUNNING
    assert set(Attempt.objects.values_list("reason", "counted")) == {(Reason.CONNECTION_LOST, False)}
    assert len(claims) == RUNNING


def test_starting_containers_are_held_when_none_of_them_reaches_the_database(batch: ScriptedBatch) -> None:
    for number in range(3):
        submitted_attempt(uploaded_video(title=str(number)))
    observe(batch=batch, tick=0)
    age(Attempt, "batch_status_at", seconds=901)
    assert (run_rescue(batch).held, batch.terminated) == (3, [])
    age(Attempt, "batch_status_at", "held_at", seconds=RETRY_S + THRESHOLD_S)
    assert run_rescue(batch).rescued == 3
    assert set(Attempt.objects.values_list("reason", "counted")) == {(Reason.CONNECTION_LOST, False)}


@pytest.mark.parametrize("apply_changes", [False, True])
def test_reconcile_spares_silent_containers_when_there_is_a_break(
    apply_changes: bool, claims: list[Claim], batch: ScriptedBatch
) -> None:
    Tick.objects.create(name="rescue", continuous_since=Now(), started_at=Now())
    age(Tick, "continuous_since", seconds=100_000)
    fall_silent(claims)
    report = reconcile(batch=batch, apply_changes=apply_changes)
    assert (report.events, report.terminated) == ([], [])
    assert Attempt.objects.filter(state="RUNNING").count() == RUNNING
