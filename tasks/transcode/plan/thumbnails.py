"""Thumbnails for the seek bar: a JPEG of tiles (sprite) per unit, and a WebVTT map of the tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..captions import webvtt_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladder import Rung

_LONG_SIDE_PX = 160
"""Large enough to recognise a slide; an hour of thumbnails is about a megabyte."""

_MAX_COLUMNS = 5


@dataclass(frozen=True)
class ThumbnailPlan:
    """Thumbnails of one output: one every `interval_frames` of the grid, from frame 0 on."""

    interval_frames: int
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Sprite:
    """The thumbnails of one unit."""

    thumbnails: ThumbnailPlan
    frames: tuple[int, ...]
    """The grid frame that each tile shows, in tile order: left to right, then top to bottom."""

    @property
    def columns(self) -> int:
        """Tiles per row."""
        return min(_MAX_COLUMNS, len(self.frames))

    @property
    def rows(self) -> int:
        """Rows of tiles; the unused end of the last one is black."""
        return math.ceil(len(self.frames) / self.columns)


def plan_thumbnails(smallest: Rung, *, interval_gops: int, gop_frames: int) -> ThumbnailPlan:
    """Return thumbnails with the smallest rung's aspect ratio, never larger than that rung.

    They are first frames of GOPs, which are never dropped.

    Width and height are even, so that tiles do not share chroma samples in 4:2:0.
    """
    scale = min(Fraction(1), Fraction(_LONG_SIDE_PX, max(smallest.width_px, smallest.height_px)))
    width_px, height_px = (max(2, round(side * scale / 2) * 2) for side in (smallest.width_px, smallest.height_px))
    return ThumbnailPlan(interval_gops * gop_frames, width_px, height_px)


def make_sprite(thumbnails: ThumbnailPlan | None, first_frame: int, end_frame: int) -> Sprite | None:
    """Return the sprite of frames `first_frame` up to `end_frame`; None if it has no tile."""
    if thumbnails is None:
        return None
    interval = thumbnails.interval_frames
    frames = tuple(range(-(-first_frame // interval) * interval, end_frame, interval))
    return Sprite(thumbnails, frames) if frames else None


def sprite_filter(sprite: Sprite) -> str:
    """Return the filters that tile frames, whose pts is their grid frame number, into one image."""
    thumbnails = sprite.thumbnails
    return (
        f"trim=start_pts={sprite.frames[0]}:end_pts={sprite.frames[-1] + 1},"
        rf"select=not(mod(pts\,{thumbnails.interval_frames})),"
        f"scale={thumbnails.width_px}:{thumbnails.height_px}:in_color_matrix=bt709:out_color_matrix=smpte170m:"
        "out_range=full,setsar=1,format=yuvj420p,"
        f"tile={sprite.columns}x{sprite.rows}:nb_frames={len(sprite.frames)}"
    )


def thumbnail_map(sprites: Sequence[tuple[str, Sprite]], *, rate: Fraction, end_frame: int) -> str:
    """Return a WebVTT file with one cue per tile: sprite URL and `#xywh=` (W3C media fragments).

    `sprites` are (URL, sprite) pairs in order of time; the last cue ends at `end_frame`.
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
