"""SubRip files (.srt). The format has no standard; times and tags are those that players read."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from pysubs2 import SSAFile
from pysubs2.formats.subrip import SubripFormat

from .cues import FileCue, checked, marked
from .faults import TIME, CaptionFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(r"(<[^<>]*>|\{\\[^{}]*\})")
"""A tag, or a code of SubStation that some programs write into SubRip."""
_MARK = re.compile(r"<(/?)\s*([ibu])\s*>", re.IGNORECASE)
_OTHER_ARROW = re.compile(r"\s*\d+:\d\d:\d\d[.,]\d+\s*(?!-->)[^\w\s]{1,3}\s*\d+:\d\d:\d\d[.,]\d+\s*")
"""Two times alone in a line: the times of a cue whose arrow was mistyped, which players read, too."""
_BLANK_LINES = re.compile(r"\n{3,}")
_NEXT_NUMBER = "\n\n0\n"
"""pysubs2 takes a number at the end for that of the next cue: findings/pysubs2-drops-a-last-number.sh."""


def read_subrip(lines: Sequence[str]) -> list[FileCue]:
    """Return the cues. Raises CaptionFileError for a line that should have two times and an arrow, and has not."""
    timed = [number for number, line in enumerate(lines, start=1) if is_timing(line)]
    for number, line in enumerate(lines, start=1):
        is_cue = len(SubripFormat.TIMESTAMP.findall(line)) == 2  # noqa: PLR2004 - from and to
        # Nobody reads text before the first cue.
        is_lost = number < timed[0] and line.strip() and not line.strip().isdigit()
        if ("-->" in line and not is_cue) or is_lost:
            raise CaptionFileError(TIME, line=number, value=line.strip())
    file = SSAFile()
    # A line of text may contain two times; only one with an arrow begins a cue. And pysubs2 needs quadratic
    # time for many empty lines.
    text = "\n".join(line if is_timing(line) else _without_times(line) for line in lines)
    text = _BLANK_LINES.sub("\n\n", text) + _NEXT_NUMBER
    SubripFormat.from_file(file, io.StringIO(text), "srt", keep_html_tags=True)
    return checked(
        FileCue(number, event.start, event.end, marked(_fragments(event.text.replace(r"\N", "\n"))))
        for number, event in zip(timed, file.events, strict=True)
    )


def is_timing(line: str) -> bool:
    """Return whether the line has the times of a cue."""
    return "-->" in line or _OTHER_ARROW.fullmatch(line) is not None


_WORD_JOINER = "\u2060"


def _without_times(line: str) -> str:
    if len(SubripFormat.TIMESTAMP.findall(line)) != 2:  # noqa: PLR2004 - as above
        return line
    return line.replace(":", f":{_WORD_JOINER}")


def _fragments(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    marks: set[str] = set()
    for part in _TOKEN.split(text):
        if mark := _MARK.fullmatch(part):
            (marks.discard if mark[1] else marks.add)(mark[2].lower())
        elif not _TOKEN.fullmatch(part):
            yield html.unescape(part).replace(_WORD_JOINER, ""), frozenset(marks)
