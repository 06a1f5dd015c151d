"""Rule for direct play: whether browsers can play a source as it is, by a plain `<video src>`.

Such a source is offered to viewers as soon as the plan exists, while the ladder is being encoded.
Nothing is copied or converted for it.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from ..source import UNCROPPED
from .ladder import MAX_FRAME_PX

if TYPE_CHECKING:
    from ..source import AudioSource, SourceInfo

_MAX_GOP_S = 20
"""A seek decodes from the key frame before it. Decoders run at ten times real time or faster, so
that is two seconds at most.
"""

_MAX_BIT_RATE_BPS = 10_000_000
"""About twice the largest rung's ceiling: above it, a viewer would wait more than watch."""


_AAC_PROFILES = frozenset({"LC", "HE-AAC", "HE-AACv2"})
"""What all browsers play. Others (Main, LTP, LD, ELD, xHE-AAC) are silent in some."""


def plays_directly(source: SourceInfo) -> bool:
    """Return whether every browser plays the file itself, with seeking.

    That is MP4 or MOV with a sample index for the whole file, 8-bit 4:2:0 H.264 without HDR,
    rotation, cropping, fields or non-square pixels, with one parameter set for all frames, and
    either no audio or one track of AAC-LC or HE-AAC in mono or stereo. Chrome, Firefox and Safari agree on
    nothing beyond that; of several tracks, only Safari offers the others. A file with a warning does not qualify.
    """
    return (
        (source.demuxer, source.indexed) == ("mov", True)
        and (source.codec, source.pixel_format, source.transfer) == ("h264", "yuv420p", "")
        and source.upright
        and source.crop_px == UNCROPPED
        and source.parameter_sets <= 1
        and source.sample_aspect == 1
        and not source.interlaced
        and source.width_px * source.height_px <= MAX_FRAME_PX
        and source.bit_rate_bps <= _MAX_BIT_RATE_BPS
        and _longest_gop_s(source) <= _MAX_GOP_S
        and not source.warnings
        and len(source.audio) <= 1
        and all(_is_played(track) for track in source.audio)
    )


def _is_played(audio: AudioSource) -> bool:
    return audio.codec == "aac" and audio.profile in _AAC_PROFILES and audio.channels <= 2  # noqa: PLR2004  # stereo


def _longest_gop_s(source: SourceInfo) -> Fraction:
    keys = [key.pts for key in source.keys]
    if not keys or keys[0] > source.first_pts:
        return Fraction(source.end_pts - source.first_pts) * source.time_base
    return max(later - earlier for earlier, later in itertools.pairwise([*keys, source.end_pts])) * source.time_base
