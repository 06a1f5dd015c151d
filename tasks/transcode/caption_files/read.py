"""A caption file as WebVTT: which format it has, and the limits of all of them."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from ..captions import MPEGTS_MAP
from .cues import FileCue
from .encodings import decode
from .faults import EMPTY, TOO_LARGE, TOO_LONG, TOO_MANY, UNKNOWN_FORMAT, CaptionFileError
from .subrip import is_timing, read_subrip
from .substation import read_substation
from .webvtt import read_webvtt

MAX_FILE_BYTES = 1_000_000
"""Maximum size of a caption file, and of its WebVTT. Three hours of fast speech are 300 kB (`sandbox.limits`). With
the rest of its form it is below `body_limit_bytes`."""
MAX_CUES = 12 * 3600
"""Maximum number of cues, as of the tracks of a source."""
MAX_CUE_CHARS = 4000
"""Maximum length of a cue: forty full lines, more than a screen shows."""

_PREVIEW_CUES, _PREVIEW_LINES = 3, 400


class CaptionFile(NamedTuple):
    """A caption file as it will be shown."""

    webvtt: str
    cues: int
    format: str
    """SubRip, Advanced SubStation Alpha, or WebVTT."""
    encoding: str
    encoding_is_certain: bool
    end_ms: int
    """When the last cue ends."""


def read_caption_file(content: bytes, *, language: str) -> CaptionFile:
    """Return the file as WebVTT. `language` is its BCP 47 tag, from which an old file's encoding follows.

    The format is recognised by the content, whatever the file is called. Text, line breaks, italics, bold
    and underlines are kept; of WebVTT also voices, positions and styles. Raises CaptionFileError.
    """
    if len(content) > MAX_FILE_BYTES:
        raise CaptionFileError(TOO_LARGE)
    text, encoding, is_certain = decode(content, language=language)
    lines = text.lstrip("\ufeff").split("\n")
    if not text.strip():
        raise CaptionFileError(EMPTY)
    first = next(line.strip() for line in lines if line.strip())
    head: tuple[str, ...] = ()
    if first.split()[0] == "WEBVTT":
        name, (head, cues) = "WebVTT", read_webvtt(lines)
    elif first.startswith("[") and any(line.startswith("[Events]") for line in lines):
        name, cues = "Advanced SubStation Alpha", read_substation(lines)
    elif any(map(is_timing, lines)):
        name, cues = "SubRip", read_subrip(lines)
    else:
        raise CaptionFileError(UNKNOWN_FORMAT)
    _check(cues)
    # WebVTT needs them in the order of their beginnings (W3C WebVTT, 4.1).
    cues = sorted(cues, key=lambda cue: cue.start_ms)
    webvtt = "".join([f"WEBVTT\n{MPEGTS_MAP}\n", *(f"\n{block}\n" for block in head), *map(str, cues)])
    if len(webvtt.encode()) > MAX_FILE_BYTES:
        raise CaptionFileError(TOO_LARGE)
    return CaptionFile(webvtt, len(cues), name, encoding, is_certain, max(cue.end_ms for cue in cues))


def preview(webvtt: str) -> list[tuple[str, str]]:
    """Return when the first cues are shown, and their text without markup."""
    _, cues = read_webvtt(webvtt.split("\n", _PREVIEW_LINES)[:_PREVIEW_LINES])
    return [(cue.start, cue.plain) for cue in islice(cues, _PREVIEW_CUES)]


def _check(cues: list[FileCue]) -> None:
    if not cues:
        raise CaptionFileError(EMPTY)
    if len(cues) > MAX_CUES:
        raise CaptionFileError(TOO_MANY, value=str(len(cues)))
    for cue in cues:
        if len(cue.text) > MAX_CUE_CHARS:
            raise CaptionFileError(TOO_LONG, line=cue.line)
