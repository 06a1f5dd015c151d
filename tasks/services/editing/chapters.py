"""Chapters that people enter as text, a line for each: `0:00 Introduction`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from ...lifecycle.errors import NotFoundError, UnusableInputError
from ...models import Video
from ...transcode.sandbox.limits import MAX_CHAPTER_TITLE_CHARS, MAX_CHAPTERS
from ..editions.rows import record_edit
from ..state.locking import lock_video
from ..state.transition import append_event

_LINE = re.compile(r"[(\[]?(?:(\d{1,2}):)?(\d{1,3}):([0-5]\d)(?:\.(\d{1,3}))?[)\]]?\s*[-:.|]?\s+(\S.*)")
_LONGEST_MINUTE_WITH_HOURS = 59


def set_chapters(*, video_id: uuid.UUID, text: str) -> None:
    """Replace the chapters of the video by those in the text; with an empty text, there are those of its file.

    Raises NotFoundError, or UnusableInputError with the line that is at fault; nothing was changed then.
    """
    save_chapters(video_id=video_id, chapters=chapters_from_text(text) or None)


@transaction.atomic
def save_chapters(*, video_id: uuid.UUID, chapters: Sequence[dict[str, Any]] | None) -> None:
    """Replace the chapters: rows of `start_ms` and `title` in their order, or None for those of the file.

    An empty list is none at all. Raises NotFoundError, and UnusableInputError if one begins after the end.
    """
    video = lock_video(video_id)
    if video is None:
        raise NotFoundError(gettext("The video was deleted or does not exist."))
    rows = None if chapters is None else [dict(each) for each in chapters]
    duration_s = video.published_job.duration_s if video.published_job else None
    for number, row in enumerate(rows or (), start=1):
        if duration_s is not None and row["start_ms"] >= duration_s * 1000:
            text = gettext("Line {line}: “{title}” begins after the end of the video.")
            raise _unusable(text, number, code="CHAPTERS_AFTER_END", title=row["title"])
    if rows != video.chapters:
        record_edit(video)
        Video.objects.filter(pk=video_id).update(chapters=rows)
        append_event(
            "video.chapters", video_id=video_id, text=f"chapters: {len(rows)}" if rows else "those of the file"
        )


def chapters_from_text(text: str) -> list[dict[str, Any]]:
    """Return the rows of the text. Raises UnusableInputError with the number of the line that is at fault."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or (found[1] and int(found[2]) > _LONGEST_MINUTE_WITH_HOURS):
            message = gettext("Line {line}: it must begin with a time and have a title, such as “4:05 Results”.")
            raise _unusable(message, number, code="CHAPTERS_LINE")
        hours, minutes, seconds = (int(each or 0) for each in found.groups()[:3])
        start_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + int((found[4] or "").ljust(3, "0"))
        rows.append(checked_row(start_ms, found[5], number=number, after_ms=rows[-1]["start_ms"] if rows else -1))
    if len(rows) > MAX_CHAPTERS:
        message = gettext("There are {number} chapters. The limit is {limit}.")
        raise UnusableInputError(message.format(number=len(rows), limit=MAX_CHAPTERS), code="CHAPTERS_TOO_MANY")
    return rows


def checked_row(start_ms: int, title: str, *, number: int, after_ms: int) -> dict[str, Any]:
    """Return the row of a chapter, which must begin after `after_ms`. Raises UnusableInputError."""
    title = " ".join("".join(each for each in title if each.isprintable() or each.isspace()).split())
    if start_ms <= after_ms:
        message = gettext("Line {line}: “{title}” does not begin after the chapter before it.")
        raise _unusable(message, number, code="CHAPTERS_ORDER", title=title[:40])
    if not title or len(title) > MAX_CHAPTER_TITLE_CHARS:
        message = gettext("Line {line}: a title has 1 to {limit} characters.")
        raise _unusable(message, number, code="CHAPTERS_TITLE", limit=MAX_CHAPTER_TITLE_CHARS)
    return {"start_ms": start_ms, "title": title}


def chapters_as_text(chapters: Sequence[dict[str, Any]]) -> str:
    """Return rows as text that gives the same rows again."""
    return "".join(f"{_clock(each['start_ms'])} {each['title']}\n" for each in chapters)


def _clock(start_ms: int) -> str:
    seconds, ms = divmod(start_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{ms:03}" if ms else ""
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{seconds:02}{fraction}"


def _unusable(text: str, line: int, *, code: str, **values: Any) -> UnusableInputError:
    return UnusableInputError(text.format(line=line, **values), code=code)
