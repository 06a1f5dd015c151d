"""The order in which due jobs get their attempts, and how many attempts may be in AWS Batch at once. Pure.

AWS Batch's queue is first in, first out: what was submitted cannot be overtaken any more. So the
backlog waits in the rows, and only about what the queue can run soon is submitted.

A job waits for one of three turns: BULK if that is its priority, else RETRY if it had an attempt
before, or UPLOAD. Within BULK, jobs that had an attempt come first. Grants are numbered, and repeat in rounds of eight:

| grant of a round   | order of turns        |
|--------------------|-----------------------|
| 0, 1, 2, 4, 5, 6   | RETRY, UPLOAD, BULK   |
| 3                  | UPLOAD, RETRY, BULK   |
| 7                  | BULK, UPLOAD, RETRY   |

So each turn comes first at least once in a round, and none of them starves, whatever the others
need. Within a turn, the owner who was served longest ago is next (an owner without an earlier grant
comes first), and each owner's jobs are served oldest first. While two owners have new jobs of a turn
waiting, the numbers of their grants in it therefore differ by at most one.

Three limits apply to the live attempts, in any state. `total` is twice what the queue can run. BULK
stops at `bulk`, which is what the queue can run plus a tenth: enough to replace containers that
end, and so little that an upload, once submitted, waits behind few others. The remainder is a
reserve for uploads and their retries: if a zone is lost, the retries of a hundred bulk jobs do not
fill it. Only grant 7 of a round may use it for BULK, so that uploads which
always fill the reserve do not stop a bulk request forever. `owner` is the same number for the new
uploads of one owner: who uploads a hundred lectures at once fills the queue, but the next upload of
someone else waits behind few of them. Uploads without an owner have no such limit.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

ROUND = 8
"""Grants per round. One in eight keeps an overloaded turn alive, and delays the others hardly."""

_UPLOADS_FIRST, _BULK_FIRST = 3, 7

_SPARE_SHARE = 10
"""BULK may have a tenth more than the queue runs. Containers that take 13 minutes or more end at
less than that rate during a submit tick (15 s) and a start in AWS Batch (about a minute)."""


class Turn(enum.StrEnum):
    """What a due job waits for."""

    RETRY = "retry"
    UPLOAD = "upload"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Maximum numbers of live attempts: in total, for BULK to get another one, and of an owner for its next upload."""

    total: int
    bulk: int

    @property
    def owner(self) -> int:
        """As `bulk`: what the queue can run, and a few to follow."""
        return self.bulk


def limits_of(*, max_in_batch: int) -> Limits:
    """Return the limits for this total, which is about twice what the queue can run."""
    runs = max(1, max_in_batch // 2)
    bulk = runs + max(1, runs // _SPARE_SHARE)
    return Limits(total=max_in_batch, bulk=max(1, min(bulk, max_in_batch - 1)))


def turns_in_order(granted: int) -> tuple[Turn, Turn, Turn]:
    """Return the order of turns after `granted` grants."""
    match granted % ROUND:
        case n if n == _UPLOADS_FIRST:
            return Turn.UPLOAD, Turn.RETRY, Turn.BULK
        case n if n == _BULK_FIRST:
            return Turn.BULK, Turn.UPLOAD, Turn.RETRY
        case _:
            return Turn.RETRY, Turn.UPLOAD, Turn.BULK


def next_turn(*, granted: int, live: int, limits: Limits, is_waiting: Callable[[Turn], bool]) -> Turn | None:
    """Return the turn of the next grant, or None if nothing may be granted now.

    `is_waiting` is called only for a turn that would be served, so it may be expensive.
    """
    if live >= limits.total:
        return None
    order = turns_in_order(granted)
    for turn in order:
        has_room = turn is not Turn.BULK or order[0] is Turn.BULK or live < limits.bulk
        if has_room and is_waiting(turn):
            return turn
    return None
