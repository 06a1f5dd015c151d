"""What a source must keep to be transcoded: each check raises InputRejectedError; runs in the probe's child process only."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ..errors import InputRejectedError
from ..sandbox.limits import MAX_DURATION_S, MAX_GAP_S, MAX_SOURCE_PX, MIN_SOURCE_SIDE_PX
from .packets import CHECK_AND_EXPORT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction


def check_clear(packet: Any) -> None:
    """Refuse an encrypted packet (ISO/IEC 23001-7): what decodes without the key is noise, or nothing."""
    if packet.has_sidedata("encryption_info"):
        raise InputRejectedError(
            code="ENCRYPTED",
            message="The video is encrypted, as rented and bought films are. Please upload a copy without protection.",
        )


def check_times(times: Sequence[int], end: int, time_base: Fraction) -> None:
    """Refuse pictures at `times` (ascending) until `end`, in `time_base` seconds, that lie too far apart or last too long."""
    span_s = (end - times[0]) * time_base
    gap_s = max(later - earlier for earlier, later in itertools.pairwise([*times, end])) * time_base
    if gap_s > MAX_GAP_S:
        raise InputRejectedError(
            code="BROKEN_TIMES",
            message=f"Two pictures lie {float(gap_s) / 3600:.1f} hours apart: the clock is damaged. {CHECK_AND_EXPORT}",
        )
    check_span(span_s)


def check_start(first_s: Fraction, container_start_s: Fraction) -> None:
    """Refuse pictures that begin hours away from where the file says that it begins.

    Past half of the container's range of times, ffmpeg takes such a start for a clock that ran over and shifts all
    pictures by 2^32 or 2^33 ticks (ts_fixup in ffmpeg_demux.c; FLV's clock has 32 bits): none would be where it was seen.
    """
    away_s = abs(first_s - container_start_s)
    if away_s > MAX_GAP_S:
        raise InputRejectedError(
            code="BROKEN_TIMES",
            message=f"The pictures begin {float(away_s) / 3600:.1f} hours away from the start of the file: its clock is "
            f"damaged. {CHECK_AND_EXPORT}",
        )


def check_span(span_s: Fraction) -> None:
    """Refuse what lasts longer than MAX_DURATION_S."""
    if span_s > MAX_DURATION_S:
        raise InputRejectedError(
            code="TOO_LONG",
            message=f"The video lasts {float(span_s) / 3600:.1f} hours; we take at most {MAX_DURATION_S // 3600}. "
            "Please cut it into parts.",
        )


def check_size(first: Any) -> None:
    """Refuse a picture too large to decode or too small to show."""
    if first.width * first.height > MAX_SOURCE_PX:
        raise InputRejectedError(
            code="TOO_LARGE",
            message=f"A picture of {first.width} x {first.height} pixels is too large. Please export the video in 4K.",
        )
    if min(first.width, first.height) < MIN_SOURCE_SIDE_PX:
        raise InputRejectedError(
            code="TOO_SMALL",
            message=f"The picture of {first.width} x {first.height} pixels is too small to be watched. "
            "Please check that it is the right file.",
        )
