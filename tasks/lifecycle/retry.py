"""The retry policy of jobs and deliveries: how long to back off, and when to stop. Pure."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass


def backoff_s(*, failures_in_a_row: int, first_s: float, cap_s: float, jitter: float) -> float:
    """Return the seconds until the next attempt: exponential from `first_s` up to `cap_s`, with jitter.

    `jitter` is a random number in [0, 1): the backoff is between half and all of the doubled value, so
    that jobs that failed together are not retried together.
    """
    doubled_s = min(cap_s, first_s * 2.0 ** max(0, min(failures_in_a_row, 32) - 1))
    return doubled_s * (0.5 + jitter / 2)


FIRST_RETRY_S = 5.0
RETRY_FACTOR = 3.0
LAST_RETRY_S = 7200.0
"""Seconds before the first retry, the factor for each further one, and the longest delay. The schedule that the
Standard Webhooks specification recommends has the same shape: seconds, then minutes, then hours."""


def retry_delay_s(tries: int, *, dice: random.Random | None = None) -> float:
    """Return the seconds until a delivery that has failed `tries` times is tried again.

    5 s, 15 s, 45 s, 135 s and so on up to two hours, and up to a tenth more, so that deliveries which failed
    together do not return together.
    """
    delay_s = min(FIRST_RETRY_S * RETRY_FACTOR ** min(tries - 1, 20), LAST_RETRY_S)
    return delay_s * (1 + 0.1 * (dice or random).random())


class Decision(enum.Enum):
    """What to do with a job that is due."""

    GRANT = "grant"
    WAIT_FOR_FINAL_STATUS = "wait"
    ATTEMPTS_EXHAUSTED = "budget"
    TOO_MANY_LOSSES = "losses"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUsage:
    """Rounds that a job has used since it was created or revived (`lifecycle.scaling`)."""

    counted: int
    undecided: int
    consecutive_losses: int


def decide(usage: BudgetUsage, *, max_attempts: int, max_consecutive_losses: int) -> Decision:
    """Return whether a due job gets another attempt.

    An undecided attempt may still turn out to count, so another attempt is granted only if the limit
    covers that case too; a job becomes DEAD only on what is certain.
    """
    if usage.counted >= max_attempts:
        return Decision.ATTEMPTS_EXHAUSTED
    if usage.consecutive_losses >= max_consecutive_losses:
        return Decision.TOO_MANY_LOSSES
    if usage.counted + usage.undecided >= max_attempts:
        return Decision.WAIT_FOR_FINAL_STATUS
    return Decision.GRANT
