"""Every row of the observation table, applied by the service, on PostgreSQL."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.models import Attempt, Job
from tasks.services.state.observation import apply_observation
from tests.factories import ScriptedBatch, age, claimed, newest_attempt, submitted_attempt
from tests.unit.lifecycle.observation_rows import MORE_MEMORY, ROWS, Row

pytestmark = pytest.mark.django_db


def _apply(row: Row, attempt: Attempt) -> None:
    seen = dataclasses.replace(row.observation, batch_job_id=str(attempt.batch_job_id))
    apply_observation(attempt, seen)
    attempt.refresh_from_db()


def _apply_again_after_waiting(row: Row, attempt: Attempt) -> None:
    """Apply the row until it takes effect: after a grace period, or enough absent responses."""
    age(Attempt, "batch_status_at", "created_at", "heartbeat_at", seconds=301)
    more = 1 if row.status is BatchStatus.SUCCEEDED else bridge_settings().missing_responses_limit - 1
    for _ in range(more):
        attempt.refresh_from_db()
        assert attempt.state in {"RUNNING", "SUBMITTED"}
        _apply(row, attempt)


@pytest.mark.few(24)
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{row.status}-{row.status_reason[:30]}-{row.container_reason[:30]}-{row.exit_code}")
        for row in ROWS
    ],
)
def test_attempt_and_job_follow_the_table_when_batch_reports_a_status(row: Row, batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(batch=batch)
    if row.started:
        claimed(attempt)
        attempt.refresh_from_db()
    _apply(row, attempt)
    if row.status in {BatchStatus.SUCCEEDED, BatchStatus.ABSENT}:
        _apply_again_after_waiting(row, attempt)
    job = Job.objects.get(pk=attempt.job_id)
    if row.reason is None:
        assert (attempt.state, attempt.reason, job.state) == ("SUBMITTED", "", "QUEUED")
        assert (attempt.batch_status, attempt.batch_status_reason) == (row.status, row.status_reason)
        return
    assert attempt.reason == row.reason
    assert attempt.counted == {"yes": True, "no": False, "undecided": None}[row.counted]
    assert job.state == "RETRY_WAIT", "another attempt follows"
    assert row.message in attempt.reason_message or row.status is BatchStatus.SUCCEEDED
    assert row.status_reason in attempt.reason_message
    age(Job, "next_attempt_at", seconds=bridge_settings().backoff_cap_s)
    second = submitted_attempt(job.video, batch=batch)
    assert second == newest_attempt(job.video)
    assert second.number == 2
    assert (second.memory_mib > attempt.memory_mib) == (row.consequence == MORE_MEMORY)
