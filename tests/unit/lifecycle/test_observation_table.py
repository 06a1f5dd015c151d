"""What AWS Batch's words mean. The texts are AWS's own, as users of Batch have reported them."""

from __future__ import annotations

import pytest

from tasks.lifecycle.observation import BatchStatus, Observation, failure_reason
from tasks.lifecycle.reasons import Charge, Reason


def _failed(
    status_reason: str = "", container_reason: str = "", exit_code: int | None = None, *, started: bool = True
) -> Observation:
    return Observation(
        batch_job_id="b",
        status=BatchStatus.FAILED,
        status_reason=status_reason,
        container_reason=container_reason,
        exit_code=exit_code,
        started=started,
    )


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (_failed("Essential container in task exited", exit_code=1), Reason.EXIT_CODE),
        (_failed("Essential container in task exited", exit_code=137), Reason.EXIT_CODE),
        (
            _failed(
                "Essential container in task exited", "OutOfMemoryError: Container killed due to memory usage", 137
            ),
            Reason.OUT_OF_MEMORY,
        ),
        (_failed("Host EC2 (instance i-0123456789abcdef0) terminated."), Reason.HOST_LOST),
        (_failed("Your Spot Task was interrupted."), Reason.SPOT_RECLAIM),
        (_failed("Job attempt duration exceeded timeout", exit_code=143), Reason.TIMED_OUT),
        (
            _failed("Task failed to start", "CannotPullContainerError: image not found", started=False),
            Reason.START_FAILED,
        ),
        (_failed("Task failed to start", "DockerTimeoutError: Could not transition to started"), Reason.START_FAILED),
        (
            _failed("Timeout waiting for network interface provisioning to complete.", started=False),
            Reason.START_FAILED,
        ),
        (_failed("ResourceInitializationError: unable to pull secrets", started=False), Reason.START_FAILED),
        (
            _failed(
                "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
                started=False,
            ),
            Reason.NOT_STARTED,
        ),
        (_failed("somebody pressed the button", started=False), Reason.NOT_STARTED),
        (_failed("somebody pressed the button", exit_code=143), Reason.TERMINATED),
    ],
)
def test_cause_is_told_apart_when_batch_says_failed(seen: Observation, reason: Reason) -> None:
    assert failure_reason(seen) is reason


def test_machine_loss_is_not_charged_when_the_exit_code_looks_like_a_crash() -> None:
    spot = failure_reason(_failed("Host EC2 (instance i-1) terminated.", exit_code=137))
    assert spot.charge is Charge.NO
    assert spot.is_loss


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_and_a_code_that_fits_its_column(reason: Reason) -> None:
    assert reason.sentence.endswith(".")
    assert reason.value == reason.name
    assert len(reason.value) <= 50
