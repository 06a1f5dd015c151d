"""Why something ended: stable codes, whether the attempt counts, a message for people, and what operators can do.

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

WHAT_TO_DO = {
    Reason.SPOT_INTERRUPTION: "Nothing. If there are many: allow more instance types or zones.",
    Reason.HOST_LOST: "Nothing.",
    Reason.START_FAILED: "Read AWS's text: an image that cannot be pulled, a secret that cannot be read, a full disk.",
    Reason.NOT_STARTED: (
        "The text names what ended it: AWS Batch's limit in RUNNABLE (as for the alarm queue-stuck), or a person."
    ),
    Reason.START_TIMEOUT: "Nothing, if it is rare. If it always happens: manage.py doctor --from-batch.",
    Reason.DATABASE_UNAVAILABLE: (
        "Check the database, the network between the containers and it, and the containers' role. The"
        " container retried for database_retry_s."
    ),
    Reason.CONNECTION_LOST: (
        "As for DATABASE_UNAVAILABLE. The break outlasted database_retry_s, or the container did not return after it."
    ),
    Reason.DISK_FULL: "As for SCRATCH_TOO_SMALL.",
    Reason.DISK_FAILED: (
        "Nothing, unless it is always the same machine: terminate that one. If its text is about the folder"
        " of the uploads: mount the folder, or set STORAGE_BUCKET for the containers."
    ),
    Reason.SCRATCH_TOO_SMALL: (
        "The container waited its turn for others to release theirs, up to scratch_wait_s; it did not wait if"
        " the whole disk is too small. Use smaller machines or larger disks."
    ),
    Reason.NO_CAPACITY: (
        "Nothing. If it happens often, add instance types or zones. Only with VIDEO_BATCH_ON_DEMAND_QUEUE."
    ),
    Reason.INPUT_SUSPECT: (
        "Nothing: the job is retried. The attempt's machine and code are in the admin. If it is always the"
        " same machine, and others process the files: terminate that machine."
    ),
    Reason.OUT_OF_MEMORY: "Nothing. If it happens often: raise memory_mib, or memory_cap_mib if that was reached.",
    Reason.TIMED_OUT: "Finished units are kept. If it happens often: raise attempt_timeout_s or vcpus.",
    Reason.EXIT_CODE: "Look up the exit code, and read the end of its log in the admin.",
    Reason.UNFINISHED: "Read its log. It also follows if rows were restored from a backup.",
    Reason.STALLED: (
        "The text names the stage. If the storage is slow: raise that stage in stage_limits_s. If it is the"
        " same unit each time: the file is the cause."
    ),
    Reason.TRANSCODE_FAILED: "The text has a code and ffmpeg's message.",
    Reason.CONTAINER_ERROR: "A bug in the program: the line CONTAINER_ERROR in its log has the traceback.",
    Reason.STORAGE_FAILED: (
        "The text has the storage's message: it rejected the call, or was unavailable for longer than"
        " storage_retry_s. manage.py doctor --from-batch tests the bucket and the role."
    ),
    Reason.MISCONFIGURED: (
        "The log line BATCH_JOB_FAILED names it: STORAGE_BUCKET, for example, if there is no such bucket."
    ),
    Reason.INPUT_REJECTED: "Nothing: the job is FAILED, and its own reason is the code of the file's error.",
    Reason.HEARTBEAT_TIMEOUT: (
        "Nothing. If there are many at once: check the network between the containers and the database."
    ),
    Reason.BATCH_JOB_MISSING: "Nothing.",
    Reason.SIGTERM: "Nothing: the final status shows whether Spot reclaimed the machine.",
    Reason.REPLACED: "Nothing. It counts if AWS Batch reports an exit code, because then a process was there and hung.",
    Reason.UNKNOWN_CAUSE: "Read AWS's text.",
    Reason.ENGINE_DIFFERS: (
        "Nothing: they finish the job. Or, if they end without having finished it, the next attempt plans it again."
    ),
    Reason.TERMINATED: "Ask who did it. To cancel a job for good, use the admin.",
    Reason.CANCELLED: "Nothing.",
    Reason.SUPERSEDED: "Nothing.",
    Reason.VIDEO_DELETED: "Nothing.",
    Reason.JOB_ENDED: "Nothing.",
    Reason.ROUND_ENDED: "Nothing: the next attempt gets its own helpers.",
    Reason.NOT_NEEDED: "Nothing. If there are many: raise helper_target_s.",
    Reason.NO_LIVE_ATTEMPT: "Nothing: rows were restored from a backup, or edited by hand.",
    Reason.ATTEMPTS_EXHAUSTED: (
        "Read the reasons of its attempts, fix the cause, then revive it. The event job.dead has the last"
        " one's text, and names the units that all of them had in progress."
    ),
    Reason.TOO_MANY_LOSSES: (
        "Find out why machines are lost or never start, then revive it. The event job.dead has the last one's text."
    ),
    Reason.REVIVED: "Nothing.",
}
"""Reason -> what an operator can do. docs/reference/reasons.md has the same texts, with links."""

INPUT_ERROR = "Nothing: the file is the cause, and its owner reads what to do. Retry only helps with another file."
"""For a job that is FAILED: its reason is a code of the media engine, and its message contains the way out."""


def what_to_do(code: str) -> str:
    """Return what to do about a job or an attempt that ended with this reason; empty for none."""
    reason = Reason.__members__.get(code)
    if reason is not None:
        return WHAT_TO_DO[reason]
    return INPUT_ERROR if code else ""
