"""The ladder for one source: its rungs, their exact sizes and bit rate ceilings.

No rung is larger than the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..source import SourceInfo
    from .profile import Profile, ProfileRung

MAX_FRAME_PX = 1920 * 1088
"""Maximum frame size of H.264 level 4.2 (8,704 macroblocks), the highest level in Apple's HLS
authoring specification.
"""

_TOO_CLOSE = Fraction(9, 10)
"""A rung above this share of the top rung's shorter side is left out: it costs more than it gains.
"""

MAX_BUFFER_BITS = 78_125_000
"""Size of the decoder's buffer in H.264 level 4.2, High profile: MaxCPB of table A-1, 62,500, in units of
cpbBrVclFactor, 1,250 bits. The bit rate itself may be 62.5 Mbit/s, which a buffer of two seconds never reaches.
"""

_FAST_MOTION = 1.5
"""Factor on the bit rate ceiling above 30 frames per second."""

_BUFFER_S = 2


@dataclass(frozen=True)
class Rung:
    """One size of the video: square pixels, upright, width and height even."""

    name: str
    width_px: int
    height_px: int
    crf: int
    maxrate_bps: int


def choose_rungs(source: SourceInfo, profile: Profile, rate: Fraction) -> tuple[Rung, ...]:
    """Return the rungs, largest first.

    The top rung has the source's own size, up to the profile's largest; below it come the profile's
    smaller sizes.
    """
    width, height = source.display_size_px
    # Displayed frames of anamorphic video can be larger than the stored ones, without more detail.
    largest = min(width, height, Fraction(profile.rungs[0].short_side_px), _largest_short_side(width / height))
    top = max(2, int(largest) // 2 * 2)
    sides = [top, *(rung.short_side_px for rung in profile.rungs if rung.short_side_px <= top * _TOO_CLOSE)]
    return tuple(_rung(side, width / height, _parameters(side, profile), rate) for side in sides)


def _largest_short_side(aspect: Fraction) -> Fraction:
    long_over_short = max(aspect, 1 / aspect)
    return Fraction(int((MAX_FRAME_PX / long_over_short) ** 0.5))


def _parameters(side_px: int, profile: Profile) -> ProfileRung:
    """Return the profile's smallest rung whose shorter side is not below `side_px`."""
    return next(rung for rung in reversed(profile.rungs) if rung.short_side_px >= side_px)


def _rung(side_px: int, aspect: Fraction, parameters: ProfileRung, rate: Fraction) -> Rung:
    long_px = max(2, round(side_px * max(aspect, 1 / aspect) / 2) * 2)
    width_px, height_px = (long_px, side_px) if aspect >= 1 else (side_px, long_px)
    return Rung(f"{side_px}p", width_px, height_px, parameters.crf, cap_bps(parameters.maxrate_bps, rate))


def cap_bps(maxrate_bps: int, rate: Fraction) -> int:
    """Return the bit rate ceiling at this number of frames per second."""
    return int(maxrate_bps * (_FAST_MOTION if rate > 30 else 1))  # noqa: PLR2004  # named above


def buffer_bits(ceiling_bps: int) -> int:
    """Return the size of the decoder's buffer: the bits of two seconds at the ceiling."""
    return _BUFFER_S * ceiling_bps
