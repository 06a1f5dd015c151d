"""WebVTT files (W3C WebVTT, 6.1), of which cues, their settings and markup, styles and regions are kept.

Notes, identifiers and metadata of the head are left out: players show none of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .cues import FileCue, checked
from .faults import TIME, CaptionFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TIMING = re.compile(
    r"\s*((?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3})\s*-->\s*((?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3})(?:\s+(.*))?"
)
_SETTING = re.compile(r"(?:vertical|line|position|size|align|region):\S+")


def read_webvtt(lines: Sequence[str]) -> tuple[tuple[str, ...], list[FileCue]]:
    """Return the blocks of styles and regions, and the cues. Raises CaptionFileError."""
    head: list[str] = []
    cues: list[FileCue] = []
    for number, block in _blocks(lines):
        if block[0].split(" ", 1)[0].split("\t", 1)[0] == "NOTE" and not any("-->" in line for line in block[:1]):
            continue
        if not cues and block[0].strip() in {"STYLE", "REGION"}:
            head.append("\n".join(line.replace("-->", "") for line in block))
        elif found := _cue(number, block):
            cues.append(found)
    return tuple(head), checked(cues)


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the blocks after the head, each with the number of its first line. A line with times begins one, too."""
    block: list[str] = []
    is_head = True
    for number, line in enumerate([*lines, ""], start=1):
        begins_cue = "-->" in line and any("-->" in each for each in block)
        if not line.strip() or begins_cue:
            if block and not is_head:
                yield number - len(block), block
            block, is_head = [], False
        if line.strip():
            if "-->" in line and is_head:  # without an empty line after the head
                block, is_head = [], False
            block.append(line)


def _cue(number: int, block: Sequence[str]) -> FileCue | None:
    """Return the cue of a block, whose first line may be its identifier; None for a block without times."""
    at = next((each for each, line in enumerate(block[:2]) if "-->" in line), None)
    if at is None:
        return None
    timing = _TIMING.fullmatch(block[at])
    if timing is None:
        raise CaptionFileError(TIME, line=number + at, value=block[at].strip())
    settings = " ".join(each for each in (timing[3] or "").split() if _SETTING.fullmatch(each))
    return FileCue(
        number + at, _milliseconds(timing[1]), _milliseconds(timing[2]), "\n".join(block[at + 1 :]), settings
    )


def _milliseconds(clock: str) -> int:
    hours, minutes, seconds = ("0:" + clock if clock.count(":") == 1 else clock).split(":")
    return round((int(hours) * 3600 + int(minutes) * 60) * 1000 + float(seconds) * 1000)
