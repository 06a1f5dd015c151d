"""Errors of the engine, classified by what the caller can do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UnitKey = int | str
"""Identifies a unit of a plan: the index of a video unit, or the name of an audio unit."""

AUDIO_UNIT = "audio"
"""The first audio unit; in most plans, the only one."""


def audio_unit(index: int) -> UnitKey:
    """Return the key of an audio unit."""
    return f"{AUDIO_UNIT}-{index}" if index else AUDIO_UNIT


class TranscodeError(Exception):
    """Base class of the engine's errors: a stable code for programs and a message for people."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Store all; `code` is in UPPER_SNAKE case and never changes its meaning.

        `details` are from `rejections.rejection`, for messages in other languages than English.
        """
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = dict(details or {})

    def __reduce__(self) -> tuple[type[TranscodeError], tuple[Any, ...]]:
        """Support pickling with all arguments, to pass the error between processes."""
        return type(self), (self.code, self.message, self.details)


class InputRejectedError(TranscodeError):
    """The file cannot be transcoded on any machine; the message states what its owner can do."""


class InputSuspectError(TranscodeError):
    """Reading the file failed in a way that may be the fault of the file or of this machine.

    The message is for the file's owner, but only once another machine has failed in the same way.
    """


class EncodeError(TranscodeError):
    """Processing failed this time; a retry may succeed, here or on another machine."""


class EncoderCrashedError(EncodeError):
    """The encoder crashed, which may be the fault of the file or of this machine."""


def extra_missing(*, package: str) -> EncodeError:
    """Return the error EXTRA_MISSING: `package` belongs to the extra `worker`, which is not installed here."""
    message = f"{package} is not installed on this machine: `pip install 'batchreel[worker]'`."
    return EncodeError(code="EXTRA_MISSING", message=message)


class InconsistentOutputError(TranscodeError):
    """The outputs of a plan's units do not fit together; redoing `units` may fix it."""

    def __init__(self, code: str, message: str, units: Iterable[UnitKey]) -> None:
        """Store the units to redo."""
        super().__init__(code, message)
        self.units = tuple(units)

    def __reduce__(self) -> tuple[type[InconsistentOutputError], tuple[str, str, tuple[UnitKey, ...]]]:
        """Support pickling with all arguments, to pass the error between processes."""
        return type(self), (self.code, self.message, self.units)


class SeamMismatchError(InconsistentOutputError):
    """Two adjacent units have different checksums for the frames that both of them decoded."""


class StoppedError(Exception):
    """The stop event was set. The child process, if there was one, has been killed."""
