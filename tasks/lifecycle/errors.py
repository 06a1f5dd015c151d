"""Errors of the bridge. Each class has a stable code; policy looks at the class, never at the text."""

from __future__ import annotations


class BatchreelError(Exception):
    """Base of all errors that the services raise."""

    code = "BATCHREEL_ERROR"


class IllegalTransitionError(BatchreelError):
    """The event cannot happen in the row's state; nothing was written."""

    code = "ILLEGAL_TRANSITION"


class FencedError(BatchreelError):
    """The writer was superseded; nothing was written."""

    code = "FENCED"


class AttemptCancelledError(BatchreelError):
    """The attempt was cancelled; its container has to stop."""

    code = "CANCELLED"


class NotFoundError(BatchreelError):
    """The row that was named does not exist."""

    code = "NOT_FOUND"


class ConflictError(BatchreelError):
    """What was asked for is not possible in the present state; the text says why and what to do."""

    code = "REFUSED"
