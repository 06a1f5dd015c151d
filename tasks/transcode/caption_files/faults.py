"""What is wrong with a caption file, by a stable code and the line."""

from __future__ import annotations

from ..errors import TranscodeError

EMPTY, UNKNOWN_FORMAT, TIME, ORDER = "CAPTIONS_EMPTY", "CAPTIONS_FORMAT", "CAPTIONS_TIME", "CAPTIONS_ORDER"
TOO_LONG, TOO_MANY, TOO_LARGE = "CAPTIONS_CUE_TOO_LONG", "CAPTIONS_TOO_MANY_CUES", "CAPTIONS_TOO_LARGE"
ENCODING, STYLES = "CAPTIONS_ENCODING", "CAPTIONS_STYLES"


class CaptionFileError(TranscodeError):
    """A caption file that cannot be used. Nothing of it was kept."""

    def __init__(self, code: str, *, line: int = 0, value: str = "") -> None:
        """`line` counts from 1, and is 0 if no single line is at fault; `value` is what is wrong in it."""
        super().__init__(code, f"line {line}: {value}")
        self.line = line
        self.value = value[:80]
