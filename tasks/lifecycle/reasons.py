"""Why something ended: stable codes, whether the attempt counts, and a message for people.

Codes are stored in columns, logged and tested, so a code never changes once released.
"""

from __future__ import annotations

import enum


class Counts(enum.Enum):
    """Whether an attempt that ended for a reason counts against the job's attempt limit."""

    YES = True
    NO = False
    UNDECIDED = None
    """Decided by Batch's final status; if that does not arrive in time, the attempt counts."""


class Reason(enum.StrEnum):
    """Stable code of a cause, with its message and whether it counts."""

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

    # The host was lost: not counted, because the job did not cause it, but recorded as a loss, so that a job that can
    # never succeed is DEAD eventually.
    SPOT_INTERRUPTION = "SPOT_INTERRUPTION", Counts.NO, "AWS interrupted the Spot instance.", True
    HOST_LOST = "HOST_LOST", Counts.NO, "The container's host was lost.", True
    START_FAILED = "START_FAILED", Counts.NO, "The container could not be started.", True
    NOT_STARTED = "NOT_STARTED", Counts.NO, "The Batch job was ended before its container started.", True
    START_TIMEOUT = "START_TIMEOUT", Counts.NO, "The container did not claim its attempt within the time limit.", True
    DATABASE_UNAVAILABLE = (
        "DATABASE_UNAVAILABLE",
        Counts.NO,
        "The container was unable to reach the database for too long.",
        True,
    )
    CONNECTION_LOST = (
        "CONNECTION_LOST",
        Counts.NO,
        "The container was silent during a break between containers and database.",
        True,
    )
    DISK_FULL = "DISK_FULL", Counts.NO, "The machine's disk was full.", True
    DISK_FAILED = "DISK_FAILED", Counts.NO, "The machine's disk failed or was read-only.", True
    SCRATCH_TOO_SMALL = "SCRATCH_TOO_SMALL", Counts.NO, "The machine's disk had no room for the source.", True
    NO_CAPACITY = (
        "NO_CAPACITY",
        Counts.NO,
        "AWS had no Spot machine for too long. The next attempt gets an On-Demand machine.",
        True,
    )
    # The machine or the file is at fault, which only another machine can show: not counted, or a bad machine would use
    # up the attempts of good files; a loss, so that it cannot be repeated forever.
    INPUT_SUSPECT = (
        "INPUT_SUSPECT",
        Counts.NO,
        "Processing the file failed on one machine. Another machine tries.",
        True,
    )
    # The container ran and ended without finishing: counted.
    OUT_OF_MEMORY = "OUT_OF_MEMORY", Counts.YES, "The container ran out of memory. The next attempt gets more."
    TIMED_OUT = "TIMED_OUT", Counts.YES, "The attempt exceeded its time limit."
    EXIT_CODE = "EXIT_CODE", Counts.YES, "The container exited with an error."
    UNFINISHED = "UNFINISHED", Counts.YES, "The container reported success, but its work was not finished."
    STALLED = "STALLED", Counts.YES, "The container was running but made no progress within the stage's time limit."
    TRANSCODE_FAILED = "TRANSCODE_FAILED", Counts.YES, "Transcoding failed. Another attempt may succeed."
    CONTAINER_ERROR = "CONTAINER_ERROR", Counts.YES, "The container failed with an unexpected error."
    STORAGE_FAILED = "STORAGE_FAILED", Counts.YES, "An object could not be read from or written to the storage."
    MISCONFIGURED = "MISCONFIGURED", Counts.YES, "A setting of the container is missing or invalid."
    INPUT_REJECTED = "INPUT_REJECTED", Counts.YES, "The file cannot be transcoded."
    # Ended before Batch reported why: its final status decides whether the attempt counts.
    HEARTBEAT_TIMEOUT = "HEARTBEAT_TIMEOUT", Counts.UNDECIDED, "The container stopped sending heartbeats.", True
    BATCH_JOB_MISSING = (
        "BATCH_JOB_MISSING",
        Counts.UNDECIDED,
        "AWS Batch no longer has a record of the Batch job.",
        True,
    )
    SIGTERM = "SIGTERM", Counts.UNDECIDED, "The container was stopped (SIGTERM).", True
    REPLACED = (
        "REPLACED",
        Counts.UNDECIDED,
        "The bridge terminated the Batch job: no start, no heartbeat, or no progress.",
        True,
    )
    # Batch's final status contains nothing reliable: counted when the wait for a better one is over.
    UNKNOWN_CAUSE = (
        "UNKNOWN_CAUSE",
        Counts.UNDECIDED,
        "The container ended, and AWS Batch reported no recognised cause.",
    )
    # Ended by a decision: not counted.
    ENGINE_DIFFERS = (
        "ENGINE_DIFFERS",
        Counts.NO,
        "The containers that work on the job have another version of the engine, so this one left.",
    )
    TERMINATED = "TERMINATED", Counts.NO, "The Batch job was terminated by an operator of the AWS account.", True
    CANCELLED = "CANCELLED", Counts.NO, "Cancelled manually."
    SUPERSEDED = "SUPERSEDED", Counts.NO, "Replaced by a newer request."
    VIDEO_DELETED = "VIDEO_DELETED", Counts.NO, "The video was deleted."
    JOB_ENDED = "JOB_ENDED", Counts.NO, "Another attempt ended the job."
    ROUND_ENDED = (
        "ROUND_ENDED",
        Counts.NO,
        "The job's other containers ended without having finished it, so this helper was not needed any more.",
    )
    NOT_NEEDED = "NOT_NEEDED", Counts.NO, "Too little work was left for this helper, which still waited for a machine."
    NO_LIVE_ATTEMPT = (
        "NO_LIVE_ATTEMPT",
        Counts.NO,
        "The job had no live attempt left. It will be submitted again.",
    )
    # Why a job is DEAD, or continues.
    ATTEMPTS_EXHAUSTED = (
        "ATTEMPTS_EXHAUSTED",
        Counts.NO,
        "All attempts have been used. An operator can revive the job.",
    )
    TOO_MANY_LOSSES = (
        "TOO_MANY_LOSSES",
        Counts.NO,
        "Too many hosts were lost in a row without a finished unit.",
    )
    REVIVED = "REVIVED", Counts.NO, "The job was revived, and continues where it stopped."


def is_loss(code: str) -> bool:
    """Return whether the reason with this code means that a host or container was lost."""
    reason = Reason.__members__.get(code)
    return reason is not None and reason.is_loss


HELD = frozenset({Reason.DISK_FULL, Reason.DISK_FAILED, Reason.INPUT_SUSPECT})
"""Reasons with which a container ends within seconds on a machine at fault, but not on others: it keeps its place for
`machine_hold_s`. SCRATCH_TOO_SMALL has waited before its end."""

FAULTS = frozenset(reason for reason in Reason if reason.counts is Counts.YES) - {Reason.INPUT_REJECTED} | {
    Reason.DATABASE_UNAVAILABLE,
    Reason.UNKNOWN_CAUSE,
    Reason.START_FAILED,
    Reason.START_TIMEOUT,
    Reason.INPUT_SUSPECT,
}
"""Reasons with which an attempt failed that neither lost its machine nor had a bad file for certain, whether or not
it counts. A bad file has one INPUT_SUSPECT; a machine that damages what it reads has many.

An attempt that finished a unit before it failed does not count, so `counted` alone would hide most failures.
"""
