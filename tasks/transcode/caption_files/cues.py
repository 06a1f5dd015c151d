"""A cue of a caption file, with the line where it is in the file."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, NamedTuple

from ..captions import webvtt_clock
from .faults import ORDER, CaptionFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAG = re.compile(r"<[^<>]*>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MARKS = ("i", "b", "u")


class FileCue(NamedTuple):
    """A text and when it is shown. Its text is valid in WebVTT, and no line of it is empty."""

    line: int
    start_ms: int
    end_ms: int
    text: str
    settings: str = ""
    """Cue settings of WebVTT, such as `line:0 align:start`."""

    def __str__(self) -> str:
        """Return the cue as it is in a WebVTT file, with the empty line before it."""
        times = f"{webvtt_clock(self.start_ms)} --> {webvtt_clock(self.end_ms)}"
        return f"\n{times}{' ' * bool(self.settings)}{self.settings}\n{self.text}\n"

    @property
    def start(self) -> str:
        """When it begins, in the format of WebVTT."""
        return webvtt_clock(self.start_ms)

    @property
    def plain(self) -> str:
        """Its text without markup."""
        return html.unescape(_TAG.sub("", self.text))


def checked(cues: Iterable[FileCue]) -> list[FileCue]:
    """Return the cues that show something. Raises CaptionFileError for one that ends before it begins."""
    found = []
    for cue in cues:
        if cue.end_ms <= cue.start_ms:
            raise CaptionFileError(ORDER, line=cue.line)
        text = "\n".join(line for each in cue.text.split("\n") if (line := _CONTROL.sub("", each).strip()))
        if _TAG.sub("", text).strip():
            # Without `-->`, which would end the cue (W3C WebVTT, 4.1).
            found.append(cue._replace(text=text.replace("-->", "--&gt;")))
    return found


def marked(fragments: Iterable[tuple[str, frozenset[str]]]) -> str:
    """Return the text in WebVTT. Each fragment has the names of its marks: `i`, `b`, `u`."""
    made: list[str] = []
    open_marks: list[str] = []
    for text, wanted in fragments:
        if not text:
            continue
        while not set(open_marks) <= wanted:
            made.append(f"</{open_marks.pop()}>")
        for mark in _MARKS:
            if mark in wanted and mark not in open_marks:
                open_marks.append(mark)
                made.append(f"<{mark}>")
        made.append(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return "".join([*made, *(f"</{mark}>" for mark in reversed(open_marks))])
