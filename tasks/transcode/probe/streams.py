"""The streams to transcode, one of video and one of audio, and what the first frame of the video has with it."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.logging

from .packets import AudioPackets, VideoPackets

if TYPE_CHECKING:
    from ..source import AudioSource

_MAX_SAMPLE_ASPECT = 16

_IDENTITY_MATRIX = struct.pack("=9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""The identity display matrix, in the fixed-point format of ISO/IEC 14496-12, 8.3.2."""


def choose_video(container: Any) -> VideoPackets | None:
    """Return the default video stream, else the first; None if there is none.

    Cover art and streams without a decoder do not count.
    """
    candidates = [
        stream for stream in container.streams.video if not is_cover(stream) and stream.codec_context is not None
    ]
    if not candidates:
        return None
    stream = next((stream for stream in candidates if stream.disposition & stream.disposition.default), candidates[0])
    # One thread: the first frame must be returned without feeding several more packets first.
    stream.codec_context.thread_count = 1
    return VideoPackets(stream)


def is_cover(stream: Any) -> bool:
    """Return whether the stream is cover art or a set of thumbnails rather than video."""
    return bool(stream.disposition & (stream.disposition.attached_pic | stream.disposition.timed_thumbnails))


def choose_audio(container: Any, video: VideoPackets | None) -> AudioPackets | None:
    """Return the default audio stream, else the first; None if none has a decoder.

    In a transport stream, an audio stream of the video's program takes precedence.
    """
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        return None
    chosen = next((stream for stream in streams if stream.disposition & stream.disposition.default), streams[0])
    if video is not None and container.format.name == "mpegts":
        # A transport stream may contain several programs: the audio must match the video.
        best = container.streams.best("audio", related=video.stream)
        chosen = best if best in streams else chosen
    return AudioPackets(chosen)


def audio_warnings(container: Any, packets: AudioPackets | None, audio: AudioSource | None) -> list[str]:
    """Return the codes of warnings about audio that is left out."""
    warnings = []
    if container.streams.audio and audio is None:
        warnings.append("AUDIO_UNREADABLE")
    if packets is not None and packets.is_cut:
        warnings.append("AUDIO_CUT")
    return warnings


def codec_name(container: Any, stream: Any) -> str:
    """Return the name of a stream's codec without a decoder; empty if libav has no name for it either."""
    level = av.logging.get_level()
    # Only libav's description of the file has the name.
    av.logging.set_level(av.logging.INFO)
    try:
        described = _DESCRIBED.findall(container.dumps_format())
    finally:
        av.logging.set_level(level)
    names = {int(number): name if name != "none" else tag for number, name, tag in described}
    name: str = names.get(stream.index, "")
    return _CODEC_NAMES.get(name, name)


_DESCRIBED = re.compile(
    r"^  Stream #0:(\d+)\S*: \w+: (\w{2,24})[^(\n]*(?:\((\w[\w-]{3}) / 0x)?", re.MULTILINE | re.ASCII
)
"""A stream's number, codec and tag in the text of av_dump_format."""

_CODEC_NAMES = {"ac4": "AC-4", "mpegh_3d_audio": "MPEG-H 3D Audio"}
"""As users know the codecs for which ffmpeg has a name but no decoder."""


def sample_aspect(stream: Any) -> Fraction:
    """Return pixel width over height; 1 if absent or implausible.

    The value of the container takes precedence over that of the codec.
    """
    aspect = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    plausible = Fraction(1, _MAX_SAMPLE_ASPECT) <= aspect <= _MAX_SAMPLE_ASPECT
    return aspect if plausible else Fraction(1)


def is_upright(first: Any) -> bool:
    """Return whether a frame is displayed as stored, neither rotated nor mirrored."""
    try:
        matrix = first.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # Side data of a type unknown to PyAV, such as the second view of a spatial video.
        return False
    return matrix is None or bytes(matrix) == _IDENTITY_MATRIX


def has_captions_inside(first: Any) -> bool:
    """Return whether a frame has data of CEA-608 or CEA-708 captions with it (ATSC A/53, part 4)."""
    try:
        return first.side_data.get("A53_CC") is not None
    except ValueError:  # as above
        return False
