"""Retry policy: the exact attempt limit, the backoff, and DEAD only on certain failures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lifecycle.retry import BudgetUsage, Decision, backoff_s, decide


@pytest.mark.parametrize(
    ("counted", "undecided", "losses", "decision"),
    [
        (0, 0, 0, Decision.GRANT),
        (4, 0, 0, Decision.GRANT),
        (5, 0, 0, Decision.ATTEMPTS_EXHAUSTED),
        (4, 1, 1, Decision.WAIT_FOR_FINAL_STATUS),
        (0, 5, 5, Decision.WAIT_FOR_FINAL_STATUS),
        (3, 1, 1, Decision.GRANT),
        (0, 0, 20, Decision.TOO_MANY_LOSSES),
        (0, 0, 19, Decision.GRANT),
    ],
)
def test_attempt_limit_is_exact_when_attempts_are_undecided(
    counted: int, undecided: int, losses: int, decision: Decision
) -> None:
    usage = BudgetUsage(counted=counted, undecided=undecided, consecutive_losses=losses)
    assert decide(usage, max_attempts=5, max_consecutive_losses=20) is decision


@given(failures=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds_when_failures_are_many(failures: int, jitter: float) -> None:
    wait_s = backoff_s(failures_in_a_row=failures, first_s=10, cap_s=600, jitter=jitter)
    assert 5 <= wait_s <= 600


@given(jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_grows_until_its_cap_when_failures_repeat(jitter: float) -> None:
    waits = [backoff_s(failures_in_a_row=n, first_s=10, cap_s=600, jitter=jitter) for n in range(1, 10)]
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[2]
