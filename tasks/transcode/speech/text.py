"""From what the parts have found to one caption track: joined at their borders, in lines that can be read."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ..captions import CaptionTrack, Cue, webvtt, webvtt_cue
from ..languages import language_of
from ..sandbox.limits import MAX_CUES
from ..source_warnings import with_detail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

_LINE_CHARS, _LINES = 42, 2
"""At most two lines of 42 characters: the timed text style guides of Netflix and of most broadcasters."""

_SHORTEST_MS = 700
"""Shortest time for which a text is shown, unless the next one comes earlier: a person can read a word."""

_MAX_BYTES = 1_000_000
"""Maximum WebVTT of a track, as of those that people add (`caption_files.read`)."""


class AutomaticCaptions(NamedTuple):
    """A track that an engine has made."""

    language: str
    """BCP 47 tag; empty if the engine did not find it."""
    webvtt: str
    cues: int


def fault_warning(code: str) -> str:
    """Return the warning for the owner of a video whose speech could not be transcribed; `code` is from `faults`."""
    return with_detail("CAPTIONS_NOT_TRANSCRIBED", code)


def captions_of(parts: Sequence[Mapping[str, Any]], *, end_ms: int) -> AutomaticCaptions | None:
    """Return the track that consecutive parts make up, each with `language` and `texts`; None if nothing is spoken.

    `texts` are rows of start and end, in milliseconds on the clock of the output, and text. The language is the one
    in which most is spoken. What is longer than a limit is cut off at its end.
    """
    spoken: Counter[str] = Counter()
    for part in parts:
        spoken[part["language"]] += sum(len(text) for _, _, text in part["texts"])
    cues = _in_order(cue for part in parts for row in part["texts"] for cue in _cues(*row))
    cues = [cue._replace(end_ms=min(cue.end_ms, end_ms)) for cue in cues if cue.start_ms < end_ms][:MAX_CUES]
    size_bytes = len(webvtt(CaptionTrack("", "", ())))
    for number, cue in enumerate(cues):
        size_bytes += len(webvtt_cue(cue).encode())
        if size_bytes > _MAX_BYTES:
            cues = cues[:number]
            break
    if not cues:
        return None
    language = language_of(max(spoken, key=lambda tag: (spoken[tag], tag))).tag
    return AutomaticCaptions(language, webvtt(CaptionTrack(language, "", tuple(cues))), len(cues))


def _cues(start_ms: int, end_ms: int, text: str) -> Iterator[Cue]:
    """Yield the text in pieces that fit on the screen, each for its share of the time."""
    lines = textwrap.wrap(" ".join(text.split()), _LINE_CHARS, break_on_hyphens=False)
    pieces = ["\n".join(lines[at : at + _LINES]) for at in range(0, len(lines), _LINES)]
    total, before = sum(map(len, pieces)), 0
    for piece in pieces:
        first_ms = start_ms + (end_ms - start_ms) * before // total
        before += len(piece)
        yield Cue(first_ms, start_ms + (end_ms - start_ms) * before // total, piece)


def _in_order(cues: Iterable[Cue]) -> list[Cue]:
    """Return the cues by time, none of which begins before the one before has ended, and each shown for a while."""
    found: list[Cue] = []
    for cue in sorted(cues):
        start_ms = max(cue.start_ms, found[-1].start_ms + 1) if found else max(0, cue.start_ms)
        if found and found[-1].end_ms > start_ms:
            found[-1] = found[-1]._replace(end_ms=start_ms)
        found.append(Cue(start_ms, max(cue.end_ms, start_ms + _SHORTEST_MS), cue.text))
    return found
