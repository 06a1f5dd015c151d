"""Decides whether a source's own streams can be offered as a preview, before anything is encoded."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from .ladder import MAX_FRAME_PX

if TYPE_CHECKING:
    from ..source import SourceInfo

LONGEST_GOP_S = 6
"""A segment is at least a GOP, and Apple's authoring specification for HLS wants segments of 6 s."""

_HIGHEST_BIT_RATE_BPS = 10_000_000
"""Twice what the largest rung may have: above it, a preview would stall more than it shows."""

_SEEKABLE = frozenset({"mov", "matroska"})
"""Demuxers whose packets carry exact times."""


def can_preview(source: SourceInfo) -> bool:
    """Tell whether every player takes the source's own streams: H.264 in 8 bits with short closed GOPs, AAC in stereo."""
    return (
        source.demuxer in _SEEKABLE
        and (source.codec, source.pixel_format, source.transfer) == ("h264", "yuv420p", "")
        and source.upright
        and source.sample_aspect == 1
        and not source.interlaced
        and source.width_px * source.height_px <= MAX_FRAME_PX
        and source.bit_rate_bps <= _HIGHEST_BIT_RATE_BPS
        and source.closed_gops
        and _longest_gop_s(source) <= LONGEST_GOP_S
        and (source.audio is None or (source.audio.codec == "aac" and source.audio.channels <= 2))  # noqa: PLR2004  # stereo
    )


def _longest_gop_s(source: SourceInfo) -> Fraction:
    keys = [key.pts for key in source.keys]
    if not keys or keys[0] > source.first_pts:
        return Fraction(source.end_pts - source.first_pts) * source.time_base
    return max(later - earlier for earlier, later in itertools.pairwise([*keys, source.end_pts])) * source.time_base
