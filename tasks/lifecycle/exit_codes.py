"""The container's exit codes. 0 only when the work is truly done, was done already, or is in another live attempt's hands."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the process ends with; docs/exit-codes.md is this table."""

    DONE = 0
    FAILED = 1
    """This attempt failed; its row says why. Another attempt may succeed."""
    USAGE = 2
    """The command line is wrong."""
    JOB_NOT_FOUND = 10
    """No such job or attempt in this database."""
    FENCED = 11
    """The attempt has ended or was superseded; nothing was changed."""
    NOT_CLAIMABLE = 12
    """The attempt belongs to another Batch job or process; nothing was changed."""
    CANCELLED = 13
    """The attempt was cancelled; the work was stopped."""
    INPUT_REJECTED = 20
    """The input cannot be transcoded; the job is FAILED and is not tried again."""
    DATABASE_UNAVAILABLE = 31
    """The database could not be reached for too long."""
    MISCONFIGURED = 40
    """A setting is missing or wrong."""
    TERMINATED = 143
    """SIGTERM: ffmpeg was stopped and the row says so (128 + 15, as shells have it)."""
