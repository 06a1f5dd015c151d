"""The retry policy, pure: how long to wait, and when to stop."""

from __future__ import annotations

import enum
from dataclasses import dataclass


def backoff_s(*, failures_in_a_row: int, first_s: float, cap_s: float, jitter: float) -> float:
    """Seconds before the next attempt: doubling from `first_s` up to `cap_s`, spread by `jitter`.

    `jitter` is a random number in [0, 1): the wait lies between half and the whole of the doubled value, so that jobs that failed
    together do not come back together.
    """
    doubled_s = min(cap_s, first_s * 2.0 ** max(0, min(failures_in_a_row, 32) - 1))
    return doubled_s * (0.5 + jitter / 2)


class Decision(enum.Enum):
    """What is to be done with a job that is due."""

    GRANT = "grant"
    WAIT_FOR_FINAL_STATUS = "wait"
    ATTEMPTS_EXHAUSTED = "budget"
    TOO_MANY_HOSTS_LOST = "losses"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUsage:
    """What a job has used up since it was created or revived (counts of attempts)."""

    counted: int
    undecided: int
    losses_in_a_row: int


def decide(spent: BudgetUsage, *, max_attempts: int, max_losses_in_a_row: int) -> Decision:
    """Whether a due job gets another attempt.

    An attempt whose charge is still open may turn out to be counted, so a job is granted an execution only if the budget covers that
    case too; it is parked only on what is certain.
    """
    if spent.counted >= max_attempts:
        return Decision.ATTEMPTS_EXHAUSTED
    if spent.losses_in_a_row >= max_losses_in_a_row:
        return Decision.TOO_MANY_HOSTS_LOST
    if spent.counted + spent.undecided >= max_attempts:
        return Decision.WAIT_FOR_FINAL_STATUS
    return Decision.GRANT
