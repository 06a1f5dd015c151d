"""Thumbnails for the seek bar: which pictures, how they are tiled into one JPEG a unit, and the WebVTT map of the tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..webvtt import webvtt_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladder import Rung

_LONG_SIDE_PX = 160
"""Wide enough to recognise a slide, and an hour of them is about a megabyte."""

_MOST_COLUMNS = 5


@dataclass(frozen=True)
class ThumbnailPlan:
    """Thumbnails of one output: every `interval_frames` of the grid, from frame 0 on."""

    interval_frames: int
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Sprite:
    """One unit's thumbnails."""

    thumbnails: ThumbnailPlan
    frames: tuple[int, ...]
    """The frame that each shows, in order of their tiles: left to right, then down."""

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return min(_MOST_COLUMNS, len(self.frames))

    @property
    def rows(self) -> int:
        """Rows of tiles; the last one may be left short, in black."""
        return math.ceil(len(self.frames) / self.columns)


def plan_thumbnails(smallest: Rung, rate: Fraction, interval_s: float) -> ThumbnailPlan:
    """Return thumbnails of the smallest rung's shape, never larger than it; even sides keep tiles apart in 4:2:0."""
    scale = min(Fraction(1), Fraction(_LONG_SIDE_PX, max(smallest.width_px, smallest.height_px)))
    width_px, height_px = (max(2, round(side * scale / 2) * 2) for side in (smallest.width_px, smallest.height_px))
    return ThumbnailPlan(max(1, round(rate * Fraction(interval_s))), width_px, height_px)


def sprite_of(thumbnails: ThumbnailPlan | None, first_frame: int, end_frame: int) -> Sprite | None:
    """Return the sprite of the stretch from `first_frame` up to `end_frame`; None where no thumbnail falls into it."""
    if thumbnails is None:
        return None
    every = thumbnails.interval_frames
    frames = tuple(range(-(-first_frame // every) * every, end_frame, every))
    return Sprite(thumbnails, frames) if frames else None


def sprite_filter(sprite: Sprite) -> str:
    """Return filters that make one picture of tiles from pictures that carry their frame as pts."""
    thumbnails = sprite.thumbnails
    return (
        f"trim=start_pts={sprite.frames[0]}:end_pts={sprite.frames[-1] + 1},"
        rf"select=not(mod(pts\,{thumbnails.interval_frames})),"
        f"scale={thumbnails.width_px}:{thumbnails.height_px}:in_color_matrix=bt709:out_color_matrix=smpte170m:"
        "out_range=full,setsar=1,format=yuvj420p,"
        f"tile={sprite.columns}x{sprite.rows}:nb_frames={len(sprite.frames)}"
    )


def thumbnail_map(sprites: Sequence[tuple[str, Sprite]], *, rate: Fraction, end_frame: int) -> str:
    """Return a WebVTT file whose cues name a tile each, by the address of its sprite and `#xywh=` (W3C media fragments).

    `sprites` are (address, sprite) in order of time; the last cue ends at `end_frame`.
    """
    tiles = [
        (frame, f"{url}#xywh={','.join(map(str, _place(sprite, index)))}")
        for url, sprite in sprites
        for index, frame in enumerate(sprite.frames)
    ]
    ends = [frame for frame, _ in tiles[1:]] + [end_frame]
    cues = [
        f"{webvtt_time(frame / rate)} --> {webvtt_time(end / rate)}\n{tile}\n"
        for (frame, tile), end in zip(tiles, ends, strict=True)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _place(sprite: Sprite, index: int) -> tuple[int, int, int, int]:
    """Return x, y, width and height of a tile in pixels."""
    row, column = divmod(index, sprite.columns)
    width_px, height_px = sprite.thumbnails.width_px, sprite.thumbnails.height_px
    return column * width_px, row * height_px, width_px, height_px
