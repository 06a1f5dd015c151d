"""Exit codes of the container. 0 only if the work is done, or another live attempt is finishing it."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Exit code of the container's process; docs/reference/exit-codes.md is the same table."""

    DONE = 0
    FAILED = 1
    """This attempt failed; its row contains the reason. Another attempt may succeed."""
    USAGE = 2
    """The command line is wrong."""
    JOB_NOT_FOUND = 10
    """The database has no such job or attempt."""
    FENCED = 11
    """The attempt has ended or was superseded; nothing was changed."""
    NOT_CLAIMABLE = 12
    """The attempt belongs to another Batch job or process; nothing was changed."""
    CANCELLED = 13
    """The attempt was cancelled; the work was stopped."""
    INPUT_REJECTED = 20
    """The input cannot be transcoded; the job is FAILED and is not retried."""
    DATABASE_UNAVAILABLE = 31
    """The database was unreachable for too long."""
    MISCONFIGURED = 40
    """A setting is missing or wrong."""
    TERMINATED = 143
    """SIGTERM: ffmpeg was stopped, and the row records it (128 + 15, the shell convention)."""
