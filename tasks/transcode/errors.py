"""What can go wrong in the engine, told apart by what the caller can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

UnitKey = int | str
"""Names a unit of a plan: the index of a stretch of video, or AUDIO_UNIT."""

AUDIO_UNIT = "audio"
PREVIEW_UNIT = "preview"


class TranscodeError(Exception):
    """Base of the engine's errors: a stable code for programs, a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both; `code` is upper snake and never changes its meaning."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[TranscodeError], tuple[str, str]]:
        """Let the error cross a process border with both of its parts."""
        return type(self), (self.code, self.message)


class InputRejectedError(TranscodeError):
    """The file cannot be transcoded, here or anywhere; the sentence tells its owner what to do."""


class EncodeError(TranscodeError):
    """This run failed; the same work may well succeed elsewhere or later."""


class InconsistentOutputError(TranscodeError):
    """Outputs of a plan's units do not fit together; doing `units` again may mend it."""

    def __init__(self, code: str, message: str, units: Iterable[UnitKey]) -> None:
        """Name the units to be done again."""
        super().__init__(code, message)
        self.units = tuple(units)

    def __reduce__(self) -> tuple[type[InconsistentOutputError], tuple[str, str, tuple[UnitKey, ...]]]:  # type: ignore[override]  # one argument more than its base
        """Let the error cross a process border with all of its parts."""
        return type(self), (self.code, self.message, self.units)


class SeamMismatchError(InconsistentOutputError):
    """Two neighbouring units saw different pictures in the frames that both of them decoded."""


class StoppedError(Exception):
    """The stop event was set; no child process is left."""
