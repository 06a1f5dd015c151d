"""docs/reference/observations.md, the rows of the tests and the code interpret AWS Batch's responses alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lifecycle.observation import BatchStatus, Observation, failure_reason
from tasks.lifecycle.reasons import Counts, Reason
from tests.unit.lifecycle.observation_rows import ROWS, Row

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "observations.md"
_FAILED = [row for row in ROWS if row.status is BatchStatus.FAILED]


def _cells(row: Row) -> list[str]:
    """Return the cells of the row, as on the page."""
    ran = {BatchStatus.FAILED: "yes" if row.started else "no"}.get(row.status, "-")
    terminated = "yes" if row.terminated else "-"
    exit_code = "-" if row.exit_code is None else str(row.exit_code)
    reason = row.reason.value if row.reason else "-"
    status_reason, container_reason = (
        f"`{text}`" if text else "-" for text in (row.status_reason, row.container_reason)
    )
    reported = [row.status.value, status_reason, container_reason, exit_code, ran, terminated]
    return [*reported, reason, row.counted, row.consequence, row.message]


def test_observation_page_rows_and_code_agree_when_one_of_them_changes() -> None:
    documented = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and line.split(" | ")[0].strip("| ") in BatchStatus.__members__
    ]
    assert documented == [_cells(row) for row in ROWS]
    assert [failure_reason(row.observation) for row in _FAILED] == [row.reason for row in _FAILED]


def test_observation_table_has_distinct_rows_when_some_are_removed() -> None:
    responses = {
        (row.status, row.status_reason, row.container_reason, row.exit_code, row.started, row.terminated)
        for row in ROWS
    }
    assert len(responses) == len(ROWS) >= 40
    assert {row.status for row in ROWS} == set(BatchStatus)


@pytest.mark.parametrize("exit_code", [None, 0, 1, 137, 143])
def test_attempt_is_undecided_when_the_status_reason_is_unknown(exit_code: int | None) -> None:
    seen = Observation(
        batch_job_id="b",
        status=BatchStatus.FAILED,
        status_reason="a text that is not in the table",
        exit_code=exit_code,
        started=True,
    )
    assert failure_reason(seen) is Reason.UNKNOWN_CAUSE
    assert failure_reason(seen).counts is Counts.UNDECIDED


@pytest.mark.parametrize("row", [row for row in _FAILED if row.reason in {Reason.SPOT_INTERRUPTION, Reason.HOST_LOST}])
def test_host_loss_is_not_counted_when_the_exit_code_looks_like_a_crash(row: Row) -> None:
    reason = failure_reason(row.observation)
    assert reason.counts is Counts.NO
    assert reason.is_loss


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_message_and_fits_its_column_when_one_is_added(reason: Reason) -> None:
    assert reason.message.endswith(".")
    assert reason.value == reason.name
    assert len(reason.value) <= 50
