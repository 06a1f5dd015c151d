"""Chapters: a source's list of named parts on the output's clock, for players and pages."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from .captions import Cue, webvtt_cue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CHAPTERS_NAME = "chapters.vtt"

_WHOLE_SLACK_MS = 1000
"""A single chapter covers the whole video if it begins and ends this close to it. Muxers write the
declared duration, from which that of the frames differs by less.
"""


class ChapterMark(NamedTuple):
    """A chapter as its file declares it, in milliseconds on the source's clock."""

    start_ms: int
    end_ms: int | None
    """None if not declared."""
    title: str
    """A line of text without control characters; empty if it has none."""


class Chapter(NamedTuple):
    """A part of an output, in milliseconds on the grid's clock. It ends after it starts."""

    start_ms: int
    end_ms: int
    title: str
    """A line of text; never empty."""


def plan_chapters(
    marks: Sequence[ChapterMark], *, start_s: Fraction, duration_s: Fraction
) -> tuple[tuple[Chapter, ...], bool]:
    """Return the chapters, shifted so that `start_s` becomes 0, and whether any had to be left out.

    `start_s` is on the source's clock. They are in order, do not overlap, and are clipped to
    `duration_s`; of several that begin at the same time only the first is kept. A chapter without
    an end, or that ends before it begins, lasts until the next one. An untitled one gets its number
    as its title. A single chapter over the whole video is none.
    """
    offset_ms, length_ms = math.floor(start_s * 1000 + Fraction(1, 2)), math.floor(duration_s * 1000)
    in_order = sorted(marks, key=lambda mark: mark.start_ms)
    # Of equal keys, a dictionary keeps the last value.
    distinct = list({mark.start_ms: mark for mark in reversed(in_order)}.values())[::-1]
    chapters: list[Chapter] = []
    for mark, following in zip_longest(distinct, distinct[1:]):
        has_end = mark.end_ms is not None and mark.end_ms > mark.start_ms
        ends_ms = [mark.end_ms if has_end else None, following and following.start_ms]
        start_ms = max(0, mark.start_ms - offset_ms)
        end_ms = min([length_ms, *(end - offset_ms for end in ends_ms if end is not None)])
        if start_ms < end_ms:
            chapters.append(Chapter(start_ms, end_ms, mark.title or f"Chapter {len(chapters) + 1}"))
    is_whole = (
        len(chapters) == 1
        and chapters[0].start_ms <= _WHOLE_SLACK_MS
        and chapters[0].end_ms >= length_ms - _WHOLE_SLACK_MS
    )
    return () if is_whole else tuple(chapters), len(chapters) < len(marks)


def described(chapter: Chapter) -> dict[str, Any]:
    """Return the chapter as it is in the manifest, in seconds."""
    return {"start_s": chapter.start_ms / 1000, "end_s": chapter.end_ms / 1000, "title": chapter.title}


def chapter_of(description: Mapping[str, Any]) -> Chapter:
    """Rebuild an equal chapter from the result of `described`, before or after JSON."""
    start_ms, end_ms = (round(description[name] * 1000) for name in ("start_s", "end_s"))
    return Chapter(start_ms, end_ms, description["title"])


def chapters_webvtt(chapters: Iterable[Chapter]) -> str:
    """Return the chapters as a WebVTT file (W3C WebVTT, 4.4: chapter cues)."""
    return "".join(["WEBVTT\n", *(webvtt_cue(Cue(*chapter)) for chapter in chapters)])
