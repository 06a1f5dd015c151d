"""Extraction of cues from the packets of a source's text streams.

Runs only in the probe's child process.
"""

from __future__ import annotations

import html
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.error

from ..captions import FORCED, SDH, CaptionSource, Cue, webvtt_cue
from ..sandbox.limits import MAX_CAPTION_BYTES, MAX_CAPTION_TRACKS, MAX_CUE_BYTES, MAX_CUES

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT_CODECS = frozenset({"ass", "mov_text", "srt", "ssa", "subrip", "text", "webvtt"})
"""Text codecs; other subtitle codecs contain bitmaps."""

_FIELDS_BEFORE_TEXT = 8
"""In the ASS event line that every libav text decoder returns: order, layer, style, name, three
margins, effect.
"""

_OVERRIDE = re.compile(r"\{\\[^}]*\}")
"""Codes for a style in the event line of any decoder."""
_BLOCK = re.compile(r"(\{[^}]*\})")
"""In ASS, the same, or a comment."""
_DRAWING = re.compile(r"\\p(\d+)")
"""Begins a drawing, whose commands look like text; ends it if the number is 0."""
_TAG = re.compile(r"<[^>]*>")
_LINE_END = re.compile(r"\\[Nn]|[\r\n]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

_UNTIMED_S = 5
"""Display time of a cue whose packet has no duration."""


class CaptionPackets:
    """The cues of all text streams of a container, within limits on their number and size."""

    def __init__(self, container: Any) -> None:
        texts = [stream for stream in container.streams.subtitles if _is_text(stream)]
        self.streams = texts[:MAX_CAPTION_TRACKS]
        self.exceeds_limits = len(texts) > MAX_CAPTION_TRACKS
        """Whether anything was left out because of the limits."""
        self._cues: dict[int, list[Cue]] = {stream.index: [] for stream in self.streams}
        self._room_bytes = MAX_CAPTION_BYTES

    def take(self, packet: Any) -> None:
        """Process one packet of one of the streams, or the empty packet at the end."""
        if packet.pts is None or not packet.size:
            return
        cues = self._cues[packet.stream.index]
        if packet.size > MAX_CUE_BYTES or len(cues) >= MAX_CUES or self._room_bytes < 0:
            self.exceeds_limits = True
            return
        text = _text(packet)
        if text:
            time_base = Fraction(packet.stream.time_base)
            end = packet.pts + (packet.duration or _UNTIMED_S / time_base)
            start_ms, end_ms = (round(at * time_base * 1000) for at in (packet.pts, end))
            cue = Cue(start_ms, end_ms, text)
            self._room_bytes -= len(webvtt_cue(cue).encode())
            if self._room_bytes < 0:
                self.exceeds_limits = True
            else:
                cues.append(cue)

    def end_s(self) -> Fraction:
        """Return the latest end time of all cues; 0 if there are none."""
        return Fraction(max((cue.end_ms for cues in self._cues.values() for cue in cues), default=0), 1000)

    def sources(self) -> tuple[CaptionSource, ...]:
        """Return the streams that have at least one cue."""
        return tuple(
            CaptionSource(
                stream.metadata.get("language", ""),
                stream.metadata.get("title") or stream.metadata.get("name", ""),
                tuple(self._cues[stream.index]),
                _purpose(stream),
            )
            for stream in self.streams
            if self._cues[stream.index]
        )


def _purpose(stream: Any) -> str:
    flags = stream.disposition
    if flags & flags.forced:
        return FORCED
    return SDH if flags & (flags.hearing_impaired | flags.captions) else ""


def _is_text(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.name in _TEXT_CODECS


def _text(packet: Any) -> str:
    """Return a packet's text without styling; empty if it has none, as in gaps of an MP4 track."""
    codec = packet.stream.codec_context.name
    if codec == "webvtt":
        # Its decoder escapes braces in a way that nothing undoes: findings/ffmpeg-webvtt-escapes-braces.sh.
        cue = bytes(packet).decode(errors="replace")
        return _plain(html.unescape(_TAG.sub("", line)) for line in cue.splitlines())
    try:
        subtitle = packet.stream.codec_context.decode2(packet)
    except (av.error.FFmpegError, ValueError):
        # A damaged packet; others may still decode.
        return ""
    events = (
        [event.ass.decode(errors="replace") for event in subtitle.rects if event.type == b"ass"] if subtitle else []
    )
    return _plain(
        line for event in events for line in _LINE_END.split(_event_text(event, is_ass=codec in {"ass", "ssa"}))
    )


def _plain(lines: Iterable[str]) -> str:
    """Return the lines that show something."""
    return "\n".join(plain for line in lines if (plain := _CONTROL.sub("", line).strip()))


def _event_text(event: str, *, is_ass: bool) -> str:
    """Return an event's text. In ASS, drawings and comments are in the same place."""
    parts = event.split(",", _FIELDS_BEFORE_TEXT)
    text = parts[_FIELDS_BEFORE_TEXT] if len(parts) > _FIELDS_BEFORE_TEXT else ""
    text = _written(text) if is_ass else _OVERRIDE.sub("", text)
    return text.replace(r"\h", " ")


def _written(text: str) -> str:
    shown, is_drawing = "", False
    for part in _BLOCK.split(text):
        if part.startswith("{") and part.endswith("}"):
            for scale in _DRAWING.findall(part):
                is_drawing = int(scale) > 0
        elif not is_drawing:
            shown += part
    return shown
