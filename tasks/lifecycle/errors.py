"""Errors of the bridge. Each class has a stable code; policy depends on the class, never on the message."""

from __future__ import annotations


class BatchreelError(Exception):
    """Base class of all errors raised by the services."""

    code = "BATCHREEL_ERROR"


class IllegalTransitionError(BatchreelError):
    """The event is not allowed in the row's state; nothing was written."""

    code = "ILLEGAL_TRANSITION"


class FencedError(BatchreelError):
    """The writer was superseded; nothing was written."""

    code = "FENCED"


class AttemptCancelledError(BatchreelError):
    """The attempt was cancelled; its container must stop."""

    code = "CANCELLED"


class NotFoundError(BatchreelError):
    """The requested row does not exist."""

    code = "NOT_FOUND"


class UnusableInputError(BatchreelError):
    """What a person entered cannot be used; the message contains what is wrong, where, and what to do."""

    code = "INVALID"

    def __init__(self, message: str, *, code: str) -> None:
        """`code` names what is wrong, for programs."""
        super().__init__(message)
        self.code = code


class ConflictError(BatchreelError):
    """The request conflicts with the current state; the message contains the cause and what to do."""

    code = "REFUSED"
