"""Files of SubStation Alpha and its successor (.ssa, .ass): dialogue without comments, drawings and fonts."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from pysubs2 import SSAFile, SSAStyle
from pysubs2.exceptions import Pysubs2Error

from .cues import FileCue, checked, marked
from .faults import STYLES, TIME, CaptionFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TIMES = re.compile(r"[^,]*,\s*\d+:\d{1,2}:\d{1,2}(?:[.:]\d{1,3})?\s*,\s*\d+:\d{1,2}:\d{1,2}(?:[.:]\d{1,3})?\s*,")
"""Begins an event: its layer, then from when to when."""
_CODES = re.compile(r"\\(?:([ibu])(\d+)|p(\d+)|(r)([^\\}]*))")
_BREAK = re.compile(r"\\[Nn]")


def read_substation(lines: Sequence[str]) -> list[FileCue]:
    """Return the cues. Raises CaptionFileError."""
    timed = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip().startswith(("Dialogue:", "Comment:"))
    ]
    for number, line in timed:
        if not _TIMES.match(line.partition(":")[2]):
            raise CaptionFileError(TIME, line=number, value=line.strip())
    try:
        with warnings.catch_warnings():
            # About numbers of styles, which captions do not have.
            warnings.simplefilter("ignore")
            file = SSAFile.from_string("\n".join(lines))
    except (Pysubs2Error, ValueError, TypeError) as error:
        raise CaptionFileError(STYLES, value=str(error)) from error
    return checked(
        FileCue(number, event.start, event.end, marked(_fragments(event.text, file.styles, event.style)))
        for (number, _), event in zip(timed, file.events, strict=True)
        if not event.is_comment
    )


def _fragments(text: str, styles: Mapping[str, SSAStyle], style: str) -> Iterator[tuple[str, frozenset[str]]]:
    marks, is_drawing = _marks_of(styles.get(style)), False
    for number, part in enumerate(re.split(r"(\{[^{}]*\})", text)):
        if number % 2 == 0:
            if not is_drawing:
                yield _BREAK.sub("\n", part).replace(r"\h", " "), frozenset(marks)
            continue
        for mark, value, scale, reset, name in _CODES.findall(part):
            if mark:
                (marks.add if int(value) else marks.discard)(mark)
            elif scale:
                is_drawing = int(scale) > 0
            elif reset:
                marks = _marks_of(styles.get(name.strip() or style))


def _marks_of(style: SSAStyle | None) -> set[str]:
    named = {"i": "italic", "b": "bold", "u": "underline"}
    return {mark for mark, attribute in named.items() if style is not None and getattr(style, attribute)}
