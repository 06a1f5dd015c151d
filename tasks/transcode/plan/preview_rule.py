"""Rule for offering a source's own streams as a preview, before anything is encoded."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from .ladder import MAX_FRAME_PX

if TYPE_CHECKING:
    from ..source import SourceInfo

MAX_GOP_S = 6
"""A segment is at least one GOP; Apple's HLS authoring specification asks for segments of 6 s."""

_HIGHEST_BIT_RATE_BPS = 10_000_000
"""About twice the largest rung's ceiling: above it, a preview would stall more than it plays."""

_EXACT_TIME_DEMUXERS = frozenset({"mov", "matroska"})
"""Demuxers whose packets have exact times."""


def can_preview(source: SourceInfo) -> bool:
    """Return whether every player accepts the source's own streams.

    These must be 8-bit H.264 with short closed GOPs and, if there is audio, AAC in mono or stereo.
    """
    return (
        source.demuxer in _EXACT_TIME_DEMUXERS
        and (source.codec, source.pixel_format, source.transfer) == ("h264", "yuv420p", "")
        and source.upright
        and source.sample_aspect == 1
        and not source.interlaced
        and source.width_px * source.height_px <= MAX_FRAME_PX
        and source.bit_rate_bps <= _HIGHEST_BIT_RATE_BPS
        and source.closed_gops
        and _longest_gop_s(source) <= MAX_GOP_S
        and (source.audio is None or (source.audio.codec == "aac" and source.audio.channels <= 2))  # noqa: PLR2004  # stereo
    )


def _longest_gop_s(source: SourceInfo) -> Fraction:
    keys = [key.pts for key in source.keys]
    if not keys or keys[0] > source.first_pts:
        return Fraction(source.end_pts - source.first_pts) * source.time_base
    return max(later - earlier for earlier, later in itertools.pairwise([*keys, source.end_pts])) * source.time_base
