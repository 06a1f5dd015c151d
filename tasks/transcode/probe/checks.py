"""Checks that a source must pass; each raises InputRejectedError.

Runs only in the probe's child process.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from ..errors import InputRejectedError
from ..sandbox.limits import MAX_DURATION_S, MAX_GAP_S, MAX_SOURCE_PX, MIN_SOURCE_SIDE_PX
from .packets import CHECK_AND_EXPORT
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
        raise InputRejectedError(
            code="UNKNOWN_CODEC",
            message=f"The video is in a format that we cannot read{_named(container, video)}. "
            "Please export it again as an MP4 file with H.264, and upload that.",
        )
    if not audio.streams and container.streams.audio:
        raise InputRejectedError(
            code="UNKNOWN_CODEC",
            message="There is no video, and the audio is in a format that we cannot read"
            f"{_named(container, container.streams.audio[0])}. "
            "Please export it again as an MP4 file with AAC audio, and upload that.",
        )
    if not audio.streams:
        raise InputRejectedError(
            code="NOTHING_TO_PLAY",
            message="The file contains neither video nor audio. Please upload the video itself.",
        )


def _named(container: Any, stream: Any) -> str:
    name = codec_name(container, stream)
    return f" ({name})" if name else ""


def check_unencrypted(packet: Any) -> None:
    """Raise InputRejectedError for an encrypted packet (ISO/IEC 23001-7).

    Without the key it decodes to noise or to nothing.
    """
    if packet.has_sidedata("encryption_info"):
        raise InputRejectedError(
            code="ENCRYPTED",
            message="The video is encrypted, as rented and purchased films are. "
            "Please upload a copy without copy protection.",
        )


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
        raise InputRejectedError(
            code="BROKEN_TIMES",
            message="The video's timestamps are damaged: "
            f"two consecutive frames are {float(gap_s) / 3600:.1f} hours apart. {CHECK_AND_EXPORT}",
        )
    check_span(span_s)


def check_start(first_s: Fraction, container_start_s: Fraction) -> None:
    """Raise InputRejectedError if the video begins too far from the container's start time.

    Beyond half of the container's timestamp range, ffmpeg treats such a start as a wraparound and
    shifts all frames by 2^32 or 2^33 ticks (ts_fixup in ffmpeg_demux.c; FLV timestamps have 32
    bits), so that no frame would have the time that the probe saw.
    """
    offset_s = abs(first_s - container_start_s)
    if offset_s > MAX_GAP_S:
        raise InputRejectedError(
            code="BROKEN_TIMES",
            message="The video's timestamps are damaged: "
            f"it begins {float(offset_s) / 3600:.1f} hours away from the start of the file. {CHECK_AND_EXPORT}",
        )


def check_span(span_s: Fraction) -> None:
    """Raise InputRejectedError if the duration exceeds MAX_DURATION_S."""
    if span_s > MAX_DURATION_S:
        raise InputRejectedError(
            code="TOO_LONG",
            message=f"The recording is {float(span_s) / 3600:.1f} hours long; "
            f"the limit is {MAX_DURATION_S // 3600} hours. Please split it into parts and upload them one by one.",
        )


def check_size(shape: Shape) -> None:
    """Raise InputRejectedError if most frames are too large to process or too small to watch.

    A single one may have a damaged header; it is left out.
    """
    if shape.area_px > MAX_SOURCE_PX:
        raise InputRejectedError(
            code="TOO_LARGE",
            message=f"The video's frames of {shape.width_px} x {shape.height_px} pixels are too large. "
            "Please export the video again in 4K or smaller, and upload that.",
        )
    if min(shape.width_px, shape.height_px) < MIN_SOURCE_SIDE_PX:
        raise InputRejectedError(
            code="TOO_SMALL",
            message=f"The video's frames of {shape.width_px} x {shape.height_px} pixels are too small to watch. "
            "Please check that it is the right file, or export it again in a larger size.",
        )


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
