"""The one size that frames of all sizes and shapes are brought to before anything else is done with them.

Frames change their size and shape on the way: calls and meetings adapt to the network, phones are turned, windows are
resized, films and advertisements on television alternate.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..sandbox.limits import MAX_SOURCE_PX
from ..source import UNCROPPED, UPRIGHT

if TYPE_CHECKING:
    from ..source import Crop, Shape, SourceInfo, Turn

_MOST_NAMED = 5

_MOST_ASPECTS = 200
"""Changes of the pixels' shape that are followed: a command line is limited to 128 KiB per argument."""


@dataclass(frozen=True)
class Fit:
    """How frames become frames of one size, cropped and upright."""

    width_px: int
    height_px: int
    """Of most of the video as stored, before it is cropped and turned."""
    crop_px: Crop
    turn: Turn
    aspects: tuple[tuple[int, Fraction], ...]
    """From which pts on pixels are how wide, relative to those of most of the video; empty if all frames have the
    same shape.
    """

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.aspects) or self.crop_px != UNCROPPED or self.turn != UPRIGHT

    @property
    def has_bars(self) -> bool:
        """Whether frames of other shapes get bars; frames of other sizes than the planned ones are scaled anyway."""
        return bool(self.aspects)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable form; fractions are strings."""
        return {
            "width_px": self.width_px,
            "height_px": self.height_px,
            "crop_px": list(self.crop_px),
            "turn": list(self.turn),
            "aspects": [[pts, str(aspect)] for pts, aspect in self.aspects],
        }

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Fit:
        """Rebuild an equal object from the result of to_json."""
        aspects = tuple((pts, Fraction(aspect)) for pts, aspect in form["aspects"])
        return cls(**form | {"crop_px": tuple(form["crop_px"]), "turn": tuple(form["turn"]), "aspects": aspects})


def plan_fit(source: SourceInfo) -> Fit | None:
    """Return how the frames of a source become frames of one size; None without video."""
    if not source.has_video:
        return None
    width_px, height_px = source.decoded_size_px
    if source.shapes:
        # Even, so that bars share no chroma samples with the image.
        width_px, height_px = (max(2, side // 2 * 2) for side in (width_px, height_px))
    aspects: list[tuple[int, Fraction]] = []
    for change in source.shapes:
        aspect = change.shape.sample_aspect / source.sample_aspect
        if not aspects or aspects[-1][1] != aspect:
            aspects.append((change.pts, aspect))
    if len(aspects) > _MOST_ASPECTS:
        aspects[_MOST_ASPECTS:] = [(aspects[_MOST_ASPECTS][0], Fraction(1))]
    return Fit(width_px, height_px, source.crop_px, source.turn, tuple(aspects))


def largest_px(source: SourceInfo) -> int:
    """Return the pixels of the largest frame that is decoded, as stored."""
    width_px, height_px = source.decoded_size_px
    return min(MAX_SOURCE_PX, max([width_px * height_px, *(change.shape.area_px for change in source.shapes)]))


def sizes_in_words(source: SourceInfo) -> str:
    """Return the sizes of a source whose size changes, as displayed, in order of time: "320 x 180, 640 x 360"."""
    sizes = list(dict.fromkeys(_displayed(change.shape, source) for change in source.shapes))
    more = len(sizes) - _MOST_NAMED
    return ", ".join(sizes[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _displayed(shape: Shape, source: SourceInfo) -> str:
    sides = (round(shape.width_px * shape.sample_aspect), shape.height_px)
    width_px, height_px = reversed(sides) if source.quarter_turns % 2 else sides
    return f"{width_px} x {height_px}"
