"""Choice of the shape that most of a video has."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ...sandbox.limits import MIN_SOURCE_SIDE_PX
from ...source import UNCROPPED, Shape, ShapeChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...source import Crop
    from .looks import Look

_SAME_ASPECT = Fraction(1, 50)
"""Relative difference up to which frames have the same shape: encoders round sizes to whole blocks."""


@dataclass(frozen=True)
class Frames:
    """The frames of a whole video."""

    shape: Shape
    """Of most of it, by time; cropped."""
    look: Look
    """Of the frames with this shape."""
    changes: tuple[ShapeChange, ...]
    """One if all have the same shape."""
    crop_px: Crop
    interlaced: bool
    """Whether any of them are."""


def describe_frames(
    looks: Sequence[tuple[int, Look]], end_pts: int, *, container_aspect: Fraction, crop_px: Crop
) -> Frames:
    """Describe the frames of a video that has these looks from these times on, and ends at `end_pts`.

    `crop_px` is what the container declares as invisible. If there are several shapes, nobody can tell of which
    it does so, and nothing is cropped.
    """
    own_aspect = looks[0][1].shape.sample_aspect
    shown = [(pts, _with_aspect(look, container_aspect, own_aspect)) for pts, look in looks]
    runs = itertools.groupby(shown, key=lambda each: each[1].shape)
    changes = tuple(ShapeChange(next(run)[0], shape) for shape, run in runs)
    shape = _main_shape(changes, end_pts)
    look = next(look for _, look in shown if look.shape == shape)
    shape, crop_px = _cropped(shape, crop_px, own_aspect) if len(changes) == 1 else (shape, UNCROPPED)
    return Frames(shape, look, changes, crop_px, interlaced=any(look.interlaced for _, look in looks))


def _with_aspect(look: Look, container: Fraction, first: Fraction) -> Look:
    """Return the look with the sample aspect ratio that holds: the container's, unless the codec's changes.

    `first` is the codec's own at the beginning. A container that repeats it does not mean the whole video.
    """
    own = look.shape.sample_aspect
    return replace(look, shape=replace(look.shape, sample_aspect=own if own != first == container else container))


def _main_shape(changes: Sequence[ShapeChange], end_pts: int) -> Shape:
    """Return the shape that most of the video has, by time.

    First the aspect ratio that is shown for longest, then of its sizes the largest that at least half of that time has.
    """
    ends = [change.pts for change in changes[1:]] + [end_pts]
    lasting: dict[Shape, int] = {}
    for change, end in zip(changes, ends, strict=True):
        lasting[change.shape] = lasting.get(change.shape, 0) + max(0, end - change.pts)

    def alike(shape: Shape) -> list[Shape]:
        return [other for other in lasting if abs(other.aspect / shape.aspect - 1) <= _SAME_ASPECT]

    shape = max(lasting, key=lambda shape: (sum(lasting[other] for other in alike(shape)), shape.area_px))
    group = sorted(alike(shape), key=lambda shape: shape.area_px, reverse=True)
    passed, half = 0, sum(lasting[other] for other in group) / 2
    for shape in group:
        passed += lasting[shape]
        if passed >= half:
            return shape
    return group[-1]


def _cropped(shape: Shape, crop_px: Crop, codec_aspect: Fraction) -> tuple[Shape, Crop]:
    """Return the shape of frames after cropping, and the crop itself; nothing is cropped if too little would be left.

    A container whose display size fits the whole frame, as muxers write it that crop afterwards, does not mean that
    the rest is to be stretched: then the sample aspect ratio is the codec's.
    """
    left, top, right, bottom = crop_px
    width_px, height_px = shape.width_px - left - right, shape.height_px - top - bottom
    if crop_px == UNCROPPED or min(width_px, height_px) < MIN_SOURCE_SIDE_PX:
        return shape, UNCROPPED
    # libav divides the display size by the cropped frame.
    of_whole = shape.sample_aspect * Fraction(width_px * shape.height_px, height_px * shape.width_px)
    aspect = codec_aspect if of_whole == codec_aspect else shape.sample_aspect
    return Shape(width_px, height_px, aspect), crop_px
