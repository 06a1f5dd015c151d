"""Chapters of a source: from the readers of MP4 and Matroska, or else from libav.

Runs only in the probe's child process.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from ...chapters import ChapterMark
from ...sandbox.limits import MAX_CHAPTER_TITLE_CHARS, MAX_CHAPTERS
from .matroska import matroska_chapters
from .mp4 import mp4_chapters

if TYPE_CHECKING:
    from ..source_file import SourceFile


def read_chapters(container: Any, file: SourceFile, demuxer: str) -> tuple[tuple[ChapterMark, ...], list[str]]:
    """Return the chapters that the file's author wants displayed, in order of time, and the codes of warnings.

    At most MAX_CHAPTERS, with titles of at most MAX_CHAPTER_TITLE_CHARS. Moves the file's position,
    so nothing can be demuxed afterwards.
    """
    marks, has_others = None, False
    if demuxer == "mov":
        marks = mp4_chapters(file)
    elif demuxer == "matroska" and (found := matroska_chapters(file)) is not None:
        marks, has_others = found
    if marks is None:
        marks = [_mark(chapter) for chapter in container.chapters()]
    marks = [mark._replace(title=_plain(mark.title)) for mark in sorted(marks, key=lambda mark: mark.start_ms)]
    kept = tuple(mark._replace(title=_shortened(mark.title)) for mark in marks[:MAX_CHAPTERS])
    warnings: list[str] = []
    if list(kept) != marks:
        warnings.append("CHAPTERS_CUT")
    if has_others:
        warnings.append("CHAPTERS_NESTED")
    return kept, warnings


def _mark(chapter: dict[str, Any]) -> ChapterMark:
    start_ms, end_ms = (round(chapter[name] * chapter["time_base"] * 1000) for name in ("start", "end"))
    return ChapterMark(start_ms, end_ms, chapter["metadata"].get("title", ""))


def _plain(title: str) -> str:
    """Return the title in one line without control characters; empty if nothing of it is visible."""
    line = " ".join("".join(char for char in title if char.isspace() or unicodedata.category(char) != "Cc").split())
    return line if any(unicodedata.category(char)[0] not in "CZ" for char in line) else ""


def _shortened(title: str) -> str:
    return title if len(title) <= MAX_CHAPTER_TITLE_CHARS else f"{title[: MAX_CHAPTER_TITLE_CHARS - 1].rstrip()}…"
