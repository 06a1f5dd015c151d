"""Checks that a source must pass; each raises InputRejectedError.

Runs only in the probe's child process.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from ..errors import InputRejectedError
from ..rejections import rejection
from ..sandbox.limits import MAX_DURATION_S, MAX_GAP_S, MAX_SOURCE_PX, MIN_SOURCE_SIDE_PX
from .streams import codec_name, is_cover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..source import Shape
    from .audio.tracks import AudioTracks


def check_playable(container: Any, audio: AudioTracks) -> None:
    """Raise InputRejectedError if a file without a video stream to decode has no audio either, or has video.

    The message names the codec for which there is no decoder.
    """
    video = next((stream for stream in container.streams.video if not is_cover(stream)), None)
    if video is not None:
        raise InputRejectedError(**rejection("UNKNOWN_CODEC.video", codec=_named(container, video)))
    if not audio.streams and container.streams.audio:
        codec = _named(container, container.streams.audio[0])
        raise InputRejectedError(**rejection("UNKNOWN_CODEC.audio", codec=codec))
    if not audio.streams:
        raise InputRejectedError(**rejection("NOTHING_TO_PLAY"))


def _named(container: Any, stream: Any) -> str:
    name = codec_name(container, stream)
    return f" ({name})" if name else ""


def check_unencrypted(packet: Any) -> None:
    """Raise InputRejectedError for an encrypted packet (ISO/IEC 23001-7).

    Without the key it decodes to noise or to nothing.
    """
    if packet.has_sidedata("encryption_info"):
        raise InputRejectedError(**rejection("ENCRYPTED"))


def check_times(times: Sequence[int], end: int, time_base: Fraction, audio: AudioTracks) -> None:
    """Raise InputRejectedError if the frames are too far apart or last too long in total.

    `times` (ascending) and `end`, the end of the last frame, are in units of `time_base`. Audio that goes
    on between two frames shows that the clock is right: recorders of screens write no frame while nothing
    changes.
    """
    span_s = (end - times[0]) * time_base
    pauses = [
        (earlier * time_base, later * time_base)
        for earlier, later in itertools.pairwise([*times, end])
        if (later - earlier) * time_base > MAX_GAP_S
    ]
    gap_s = max((later - earlier for earlier, later in pauses if not audio.covers(earlier, later)), default=0)
    if gap_s:
        raise InputRejectedError(**rejection("BROKEN_TIMES.gap", hours=_hours(gap_s)))
    check_span(span_s)


def check_start(first_s: Fraction, container_start_s: Fraction) -> None:
    """Raise InputRejectedError if the video begins too far from the container's start time.

    Beyond half of the container's timestamp range, ffmpeg treats such a start as a wraparound and
    shifts all frames by 2^32 or 2^33 ticks (ts_fixup in ffmpeg_demux.c; FLV timestamps have 32
    bits), so that no frame would have the time that the probe saw.
    """
    offset_s = abs(first_s - container_start_s)
    if offset_s > MAX_GAP_S:
        raise InputRejectedError(**rejection("BROKEN_TIMES.start", hours=_hours(offset_s)))


def check_span(span_s: Fraction) -> None:
    """Raise InputRejectedError if the duration exceeds MAX_DURATION_S."""
    if span_s > MAX_DURATION_S:
        limit_hours = MAX_DURATION_S // 3600
        raise InputRejectedError(**rejection("TOO_LONG", hours=_hours(span_s), limit_hours=limit_hours))


def _hours(time_s: Fraction | int) -> float:
    return round(float(time_s) / 3600, 1)


def check_size(shape: Shape) -> None:
    """Raise InputRejectedError if most frames are too large to process or too small to watch.

    A single one may have a damaged header; it is left out.
    """
    if shape.area_px > MAX_SOURCE_PX:
        raise InputRejectedError(**rejection("TOO_LARGE", size=f"{shape.width_px} x {shape.height_px}"))
    if min(shape.width_px, shape.height_px) < MIN_SOURCE_SIDE_PX:
        raise InputRejectedError(**rejection("TOO_SMALL", size=f"{shape.width_px} x {shape.height_px}"))


def declared_s_of(container: Any) -> float:
    """Return the duration that a container declares, in seconds; 0 if it declares none."""
    return float(container.duration / av.time_base) if container.duration else 0.0


def falls_short(begin_s: Fraction, latest_start_s: Fraction, end_s: Fraction, declared_s: float, demuxer: str) -> bool:
    """Return whether the duration found is clearly shorter than the one declared."""
    found_s = end_s - begin_s
    if demuxer == "mov":
        # libav counts a fragmented stream's duration from time 0, and its start once more (measured).
        found_s = end_s - min(begin_s, Fraction(0)) + latest_start_s - begin_s
    return declared_s > found_s * Fraction(21, 20) + 2
