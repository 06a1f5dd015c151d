"""Why something ended: stable codes, whether an execution is counted for it, and a sentence for people.

A code is a column, a log key and a test's subject, so it never changes once released.
"""

from __future__ import annotations

import enum


class Counts(enum.Enum):
    """Whether an attempt that ended for a reason counts against the job's budget of executions."""

    YES = True
    NO = False
    UNDECIDED = None
    """Not known yet: Batch's own verdict decides, or the wait for it runs out and the attempt is counted."""


class Reason(enum.StrEnum):
    """The stable code of a cause, with its charge and its sentence."""

    counts: Counts
    is_loss: bool
    message: str

    def __new__(cls, code: str, counts: Counts, message: str, is_loss: bool = False) -> Reason:  # noqa: FBT001, FBT002 - an enum member's columns
        member = str.__new__(cls, code)
        member._value_ = code
        member.counts = counts
        member.message = message
        member.is_loss = is_loss
        return member

    # The machine went away: nobody's fault, not counted, but counted as a loss so that a doomed job is parked in the end.
    SPOT_RECLAIM = "SPOT_RECLAIM", Counts.NO, "AWS took the Spot machine back.", True
    HOST_LOST = "HOST_LOST", Counts.NO, "The machine under the container went away.", True
    START_FAILED = "START_FAILED", Counts.NO, "The container could not be started.", True
    NOT_STARTED = "NOT_STARTED", Counts.NO, "The Batch job was ended before a container started.", True
    START_TIMEOUT = "START_TIMEOUT", Counts.NO, "The container did not come to its first claim within the limit.", True
    DATABASE_UNAVAILABLE = (
        "DATABASE_UNAVAILABLE",
        Counts.NO,
        "The container could not reach the database for too long.",
        True,
    )
    # The container ran and ended without finishing: counted.
    OUT_OF_MEMORY = "OUT_OF_MEMORY", Counts.YES, "The container ran out of memory. The next attempt gets more."
    TIMED_OUT = "TIMED_OUT", Counts.YES, "The attempt ran longer than its time limit."
    EXIT_CODE = "EXIT_CODE", Counts.YES, "The container ended with an error."
    UNFINISHED = "UNFINISHED", Counts.YES, "The container ended as if done, but its work was not."
    STALLED = "STALLED", Counts.YES, "The container was alive but made no progress within its stage's limit."
    ENCODE_FAILED = "ENCODE_FAILED", Counts.YES, "The encoder failed. Another attempt may succeed."
    CONTAINER_ERROR = "CONTAINER_ERROR", Counts.YES, "The container met an error that it does not know."
    STORAGE_FAILED = "STORAGE_FAILED", Counts.YES, "The storage refused to read or write an object."
    SCRATCH_TOO_SMALL = "SCRATCH_TOO_SMALL", Counts.YES, "The container's disk has no room for the source."
    MISCONFIGURED = "MISCONFIGURED", Counts.YES, "A setting of the container is missing or wrong."
    INPUT_REJECTED = "INPUT_REJECTED", Counts.YES, "The file cannot be transcoded."
    # Ended before Batch said why: its verdict decides about the charge.
    HEARTBEAT_TIMEOUT = "HEARTBEAT_TIMEOUT", Counts.UNDECIDED, "The container stopped sending heartbeats.", True
    BATCH_JOB_MISSING = "BATCH_JOB_MISSING", Counts.UNDECIDED, "AWS no longer knows the Batch job.", True
    SIGTERM = "SIGTERM", Counts.UNDECIDED, "The container was told to stop.", True
    REPLACED = (
        "REPLACED",
        Counts.UNDECIDED,
        "The bridge ended the Batch job: no start, no heartbeat, or no progress.",
        True,
    )
    # Batch's verdict is there and says nothing that can be relied on: counted when the wait for a better one is over.
    UNKNOWN_CAUSE = (
        "UNKNOWN_CAUSE",
        Counts.UNDECIDED,
        "AWS Batch ended the container without a cause that is known here.",
    )
    # Somebody decided: not counted.
    TERMINATED = "TERMINATED", Counts.NO, "The Batch job was terminated by an operator of the AWS account.", True
    CANCELLED = "CANCELLED", Counts.NO, "Cancelled by a person."
    SUPERSEDED = "SUPERSEDED", Counts.NO, "A newer request took its place."
    VIDEO_DELETED = "VIDEO_DELETED", Counts.NO, "The video was deleted."
    JOB_ENDED = "JOB_ENDED", Counts.NO, "Another attempt ended the job."
    NO_LIVE_ATTEMPT = (
        "NO_LIVE_ATTEMPT",
        Counts.NO,
        "No container is at work on the job any more. It is submitted again.",
    )
    # Why a job is parked or goes on.
    ATTEMPTS_EXHAUSTED = (
        "ATTEMPTS_EXHAUSTED",
        Counts.NO,
        "All executions of the budget were used. An operator may revive the job.",
    )
    TOO_MANY_HOSTS_LOST = (
        "TOO_MANY_HOSTS_LOST",
        Counts.NO,
        "Too many machines were lost in a row without a finished unit.",
    )
    REVIVED = "REVIVED", Counts.NO, "An operator revived the job."


def is_loss(code: str) -> bool:
    """Whether the reason with this code means that a machine or container was lost."""
    reason = Reason.__members__.get(code)
    return reason is not None and reason.is_loss
