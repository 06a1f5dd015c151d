"""What AWS Batch's words mean: the page, the rows of the tests and the code say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lifecycle.observation import BatchStatus, Observation, failure_reason
from tasks.lifecycle.reasons import Counts, Reason
from tests.unit.lifecycle.observation_rows import ROWS, Row

PAGE = Path(__file__).parents[3] / "docs" / "observations.md"
_FAILED = [row for row in ROWS if row.status is BatchStatus.FAILED]


def _cells(row: Row) -> list[str]:
    """The row as the page writes it."""
    ran = {BatchStatus.FAILED: "yes" if row.started else "no"}.get(row.status, "-")
    by = "somebody" if row.terminated else "-"
    exit_code = "-" if row.exit_code is None else str(row.exit_code)
    meaning = row.meaning.value if row.meaning else "-"
    said, container = (f"`{text}`" if text else "-" for text in (row.said, row.container))
    return [row.status.value, said, container, exit_code, ran, by, meaning, row.counted, row.follows, row.told]


def test_page_rows_and_code_agree_when_any_of_them_changes() -> None:
    told = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and line.split(" | ")[0].strip("| ") in BatchStatus.__members__
    ]
    assert told == [_cells(row) for row in ROWS]
    assert [failure_reason(row.observation) for row in _FAILED] == [row.meaning for row in _FAILED]


def test_table_is_as_long_as_it_says_when_rows_are_taken_out() -> None:
    answers = {(row.status, row.said, row.container, row.exit_code, row.started, row.terminated) for row in ROWS}
    assert len(answers) == len(ROWS) >= 40
    assert {row.status for row in ROWS} == set(BatchStatus)


@pytest.mark.parametrize("exit_code", [None, 0, 1, 137, 143])
def test_charge_stays_open_when_the_words_are_not_known(exit_code: int | None) -> None:
    seen = Observation(
        batch_job_id="b",
        status=BatchStatus.FAILED,
        status_reason="a sentence that AWS never said before",
        exit_code=exit_code,
        started=True,
    )
    assert failure_reason(seen) is Reason.UNKNOWN_CAUSE
    assert failure_reason(seen).counts is Counts.UNDECIDED


@pytest.mark.parametrize("row", [row for row in _FAILED if row.meaning in {Reason.SPOT_RECLAIM, Reason.HOST_LOST}])
def test_machine_loss_is_not_counted_when_the_exit_code_looks_like_a_crash(row: Row) -> None:
    reason = failure_reason(row.observation)
    assert reason.counts is Counts.NO
    assert reason.is_loss


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_and_a_code_that_fits_its_column(reason: Reason) -> None:
    assert reason.message.endswith(".")
    assert reason.value == reason.name
    assert len(reason.value) <= 50
