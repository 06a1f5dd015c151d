"""Why something ended: stable codes, whether an execution is charged for it, and a sentence for people.

A code is a column, a log key and a test's subject, so it never changes once released.
"""

from __future__ import annotations

import enum


class Charge(enum.Enum):
    """Whether an attempt that ended for a reason counts against the job's budget of executions."""

    YES = True
    NO = False
    OPEN = None
    """Not known yet: Batch's own verdict decides, or the wait for it runs out and the attempt is charged."""


class Reason(enum.StrEnum):
    """The stable code of a cause, with its charge and its sentence."""

    charge: Charge
    is_loss: bool
    sentence: str

    def __new__(cls, code: str, charge: Charge, sentence: str, is_loss: bool = False) -> Reason:  # noqa: FBT001, FBT002 - an enum member's columns
        member = str.__new__(cls, code)
        member._value_ = code
        member.charge = charge
        member.sentence = sentence
        member.is_loss = is_loss
        return member

    # The machine went away: nobody's fault, not charged, but counted as a loss so that a doomed job is parked in the end.
    SPOT_RECLAIM = "SPOT_RECLAIM", Charge.NO, "AWS took the Spot machine back.", True
    HOST_LOST = "HOST_LOST", Charge.NO, "The machine under the container went away.", True
    START_FAILED = "START_FAILED", Charge.NO, "The container could not be started.", True
    NOT_STARTED = "NOT_STARTED", Charge.NO, "The Batch job was ended before a container started.", True
    START_HUNG = "START_HUNG", Charge.NO, "The container did not come to its first claim within the limit.", True
    DATABASE_AWAY = "DATABASE_AWAY", Charge.NO, "The container could not reach the database for too long.", True
    # The container ran and ended without finishing: charged.
    OUT_OF_MEMORY = "OUT_OF_MEMORY", Charge.YES, "The container ran out of memory. The next attempt gets more."
    TIMED_OUT = "TIMED_OUT", Charge.YES, "The attempt ran longer than its time limit."
    EXIT_CODE = "EXIT_CODE", Charge.YES, "The container ended with an error."
    UNFINISHED = "UNFINISHED", Charge.YES, "The container ended as if done, but its work was not."
    NO_PROGRESS = "NO_PROGRESS", Charge.YES, "The container was alive but made no progress within its stage's limit."
    ENCODE_FAILED = "ENCODE_FAILED", Charge.YES, "The encoder failed. Another attempt may succeed."
    CONTAINER_ERROR = "CONTAINER_ERROR", Charge.YES, "The container met an error that it does not know."
    STORAGE_FAILED = "STORAGE_FAILED", Charge.YES, "The storage refused to read or write an object."
    SCRATCH_TOO_SMALL = "SCRATCH_TOO_SMALL", Charge.YES, "The container's disk has no room for the source."
    MISCONFIGURED = "MISCONFIGURED", Charge.YES, "A setting of the container is missing or wrong."
    INPUT_REFUSED = "INPUT_REFUSED", Charge.YES, "The file cannot be transcoded."
    # Ended before Batch said why: its verdict decides about the charge.
    SILENT = "SILENT", Charge.OPEN, "The container stopped sending heartbeats.", True
    VANISHED = "VANISHED", Charge.OPEN, "AWS no longer knows the Batch job.", True
    SIGTERM = "SIGTERM", Charge.OPEN, "The container was told to stop.", True
    REPLACED = "REPLACED", Charge.OPEN, "The bridge ended the Batch job: no start, no heartbeat, or no progress.", True
    # Batch's verdict is there and says nothing that can be relied on: charged when the wait for a better one is over.
    UNEXPLAINED = "UNEXPLAINED", Charge.OPEN, "AWS Batch ended the container without a cause that is known here."
    # Somebody decided: not charged.
    TERMINATED = "TERMINATED", Charge.NO, "The Batch job was terminated by an operator of the AWS account.", True
    CANCELLED = "CANCELLED", Charge.NO, "Cancelled by a person."
    SUPERSEDED = "SUPERSEDED", Charge.NO, "A newer request took its place."
    VIDEO_DELETED = "VIDEO_DELETED", Charge.NO, "The video was deleted."
    JOB_ENDED = "JOB_ENDED", Charge.NO, "Another attempt ended the job."
    LEFT_TO_NOBODY = "LEFT_TO_NOBODY", Charge.NO, "No container is at work on the job any more. It is submitted again."
    # Why a job is parked or goes on.
    BUDGET_SPENT = "BUDGET_SPENT", Charge.NO, "All executions of the budget were used. An operator may revive the job."
    LOSSES_IN_A_ROW = "LOSSES_IN_A_ROW", Charge.NO, "Too many machines were lost in a row without a finished unit."
    REVIVED = "REVIVED", Charge.NO, "An operator revived the job."


def is_loss(code: str) -> bool:
    """Whether the reason with this code means that a machine or container was lost."""
    reason = Reason.__members__.get(code)
    return reason is not None and reason.is_loss
