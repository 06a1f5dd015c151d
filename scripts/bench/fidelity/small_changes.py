"""Small changes on a slide: what moves or appears, when, and how a recorder would have encoded it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fidelity.encoded import run_ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

RATE = 30
WIDTH_PX, HEIGHT_PX = 1920, 1080
WINDOW_S = 4
"""For each change: two GOPs."""
FROM_S = 0.4
"""When a change begins within its window: not with a GOP, whose first frame is always kept."""
MOVES_S = 2
FADE_S, FADE_WINDOW_S = 10, 12

CODECS = {
    "exported": ("libx264", "-preset", "medium", "-crf", "18"),
    "recorded": ("libx264", "-preset", "veryfast", "-crf", "18"),
    "without B-frames": ("libx264", "-preset", "medium", "-crf", "18", "-bf", "0"),
    "lossless": ("ffv1",),
}
"""By name: x264 medium and veryfast, x264 medium without B-frames, and FFV1, which has key frames only."""

_PAPER = "0xC0C0C0"
"""Luma 181. A black box with opacity a darkens it by 165 a levels."""
_SLIDE = (
    f"testsrc2=s={WIDTH_PX}x{HEIGHT_PX}:r={RATE},trim=end_frame=1,loop=-1:1,setpts=N/{RATE}/TB,"
    f"drawbox=x=96:y=96:w=1728:h=888:t=fill:c={_PAPER}"
)
_LETTERS, _LETTER_S = 12, 1 / 6


@dataclass(frozen=True)
class Change:
    """Something that changes on the slide."""

    area: tuple[int, int, int, int]
    """What is compared: x, y, width, height in the source's pixels. Contains every place of what moves."""
    filters: str
    """A chain with {t} for the time since the change began; {on} is true from then to the end of its window."""
    sources: str = ""
    """More chains, which the filters above overlay."""
    moves_s: float = 0
    """How long it moves; 0 if it only appears."""
    window_s: int = WINDOW_S


def _moving(size: str, colour: str, area: tuple[int, int, int, int], px_per_frame: int, name: str) -> Change:
    x, y, *_ = area
    way = f"x='{x}+{px_per_frame}*floor({RATE}*min({MOVES_S},{{t}})+0.5)':y={y}"
    return Change(
        area,
        f"[{name}]overlay={way}:eval=frame:enable='{{on}}'",
        f"color={colour}:s={size}:r={RATE},format=yuva420p[{name}]",
        moves_s=MOVES_S,
    )


def _box(area: tuple[int, int, int, int], colour: str, when: str = "{on}") -> str:
    x, y, width, height = area
    return f"drawbox=x={x}:y={y}:w={width}:h={height}:t=fill:c={colour}:enable='{when}'"


def _appearing(area: tuple[int, int, int, int], colour: str) -> Change:
    return Change(area, _box(area, colour))


def _typed() -> Change:
    # Each letter has a stem and a bar, at a height of its own.
    strokes = []
    for at in range(_LETTERS):
        when = f"{{on}}*gte({{t}},{at * _LETTER_S:.3f}-0.01)"
        x, y = 400 + 20 * at, 700
        strokes += [_box((x, y, 3, 26), "black", when), _box((x, y + at * 5 % 24, 12, 3), "black", when)]
    return Change((400, 700, 20 * _LETTERS, 26), ",".join(strokes), moves_s=_LETTERS * _LETTER_S)


def _scrolling() -> Change:
    way = f"crop=640:480:0:'floor({RATE}*clip({{t}},0,{MOVES_S})+0.5)'"
    page = f"testsrc2=s=640x720:r={RATE},trim=end_frame=1,loop=-1:1,setpts=N/{RATE}/TB,format=yuv444p,{way}[page]"
    return Change((960, 300, 128, 96), "[page]overlay=x=800:y=200:enable='{whole}'", page, moves_s=MOVES_S)


def _noise() -> Change:
    corner = "crop=192:108:1728:972,noise=alls=20:allf=t"
    return Change(
        (1760, 988, 96, 64),
        f"split[rest][corner];[corner]{corner}[noisy];[rest][noisy]overlay=x=1728:y=972:enable='{{on}}'",
        moves_s=WINDOW_S - FROM_S,
    )


CHANGES: dict[str, Change] = {
    "pointer, 12x18 px, moves": _moving("12x18", "black", (300, 200, 252, 18), 4, "pointer"),
    "caret, 2x20 px, blinks": Change(
        (400, 500, 2, 20), _box((400, 500, 2, 20), "black", "{on}*lt(mod({t}+0.01,1),0.5)"), moves_s=3.5
    ),
    "stroke, 60x1 px, 12 levels": _appearing((300, 600, 60, 1), "black@0.073"),
    "dot, 6x6 px, 24 levels": _appearing((640, 300, 6, 6), "black@0.146"),
    "laser dot, 4x4 px, 24 levels, moves": _moving("4x4", "black@0.146", (300, 400, 248, 4), 4, "laser"),
    "area, 200x100 px, 3 levels": _appearing((1200, 800, 200, 100), "black@0.02"),
    "text, letter by letter": _typed(),
    "page, scrolls by 1 px a frame": _scrolling(),
    "noise of 20 levels, 1 % of the image": _noise(),
    "fade over 10 s": Change((400, 400, 64, 64), "", moves_s=FADE_S, window_s=FADE_WINDOW_S),
}
"""Each on an otherwise still slide, one after the other. The fade is the last, because it ends in black."""


def window_starts_s() -> dict[str, int]:
    """Return when the window of each change begins."""
    starts, at = {}, 0
    for name, change in CHANGES.items():
        starts[name] = at
        at += change.window_s
    return starts


def make_changes(path: Path, codec: str) -> Path:
    """Write all changes in 1080p at 30 frames per second, encoded by one of CODECS; `path` is a Matroska file."""
    sources, chain = [], []
    for name, start_s in window_starts_s().items():
        change, end_s = CHANGES[name], start_s + CHANGES[name].window_s
        begin_s = start_s + FROM_S
        # A hundredth early, because times are rounded.
        terms = {
            "t": f"(t-{begin_s:.1f})",
            "on": f"between(t,{begin_s - 0.01:.2f},{end_s - 0.01:.2f})",
            "whole": f"between(t,{start_s - 0.01:.2f},{end_s - 0.01:.2f})",
        }
        if change.filters:
            chain.append(change.filters.format(**terms))
        else:
            chain.append(f"fade=out:st={begin_s:.1f}:d={FADE_S}")
        if change.sources:
            sources.append(change.sources.format(**terms))
    # A label, not a comma, leads into an overlay.
    text = ";".join(sources) + f";{_SLIDE}"
    for filters in chain:
        text += f"[on];[on]{filters}" if filters.startswith("[") else f",{filters}"
    length_s = sum(change.window_s for change in CHANGES.values()) + 1
    run_ffmpeg(
        [
            *("-filter_complex", f"{text},format=yuv420p[video]", "-map", "[video]", "-t", str(length_s)),
            *("-c:v", *CODECS[codec], "-threads", "1", str(path)),
        ]
    )
    return path
