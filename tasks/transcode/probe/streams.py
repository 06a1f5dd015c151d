"""The video stream to transcode, its programme, and what its first frame has with it."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import av.logging

from ..source import UNCROPPED, UPRIGHT
from .packets import VideoPackets
from .sizes.looks import crop_exactly

if TYPE_CHECKING:
    from ..source import Crop, Turn

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
    crop_exactly(stream.codec_context)
    return VideoPackets(stream)


def is_cover(stream: Any) -> bool:
    """Return whether the stream is cover art or a set of thumbnails rather than video."""
    return bool(stream.disposition & (stream.disposition.attached_pic | stream.disposition.timed_thumbnails))


def programme_of(container: Any, video: Any) -> frozenset[int] | None:
    """Return the indices of the streams in the video's programme; None if the container has no programmes.

    A transport stream may contain several of them, as broadcast: the audio must match the video.
    """
    if container.format.name != "mpegts":
        return None
    listed = _PROGRAMME.split(_description(container))[1:]
    programmes = [frozenset(map(int, _LISTED_STREAM.findall(text))) for text in listed]
    return next((streams for streams in programmes if video.index in streams), None)


_PROGRAMME = re.compile(r"^  (?:Program \d+|No Program)", re.MULTILINE | re.ASCII)
_LISTED_STREAM = re.compile(r"^  Stream #0:(\d+)", re.MULTILINE | re.ASCII)
"""A programme and its streams in the text of av_dump_format."""


def _description(container: Any) -> str:
    """Return libav's description of the file, which has what PyAV has nowhere else; empty if it cannot be read."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        description: str = container.dumps_format()
    except ValueError:
        # Text in it that is not UTF-8.
        return ""
    finally:
        av.logging.set_level(level)
    return description


def codec_name(container: Any, stream: Any) -> str:
    """Return the name of a stream's codec without a decoder; empty if libav has no name for it either."""
    described = _DESCRIBED.findall(_description(container))
    names = {int(number): name if name != "none" else tag for number, name, tag in described}
    name: str = names.get(stream.index, "")
    return _CODEC_NAMES.get(name, name)


_DESCRIBED = re.compile(
    r"^  Stream #0:(\d+)\S*: \w+: (\w{2,24})[^(\n]*(?:\((\w[\w-]{3}) / 0x)?", re.MULTILINE | re.ASCII
)
"""A stream's number, codec and tag in the text of av_dump_format."""

_CODEC_NAMES = {"ac4": "AC-4", "mpegh_3d_audio": "MPEG-H 3D Audio"}
"""As users know the codecs for which ffmpeg has a name but no decoder."""


def is_upright(first: Any) -> bool:
    """Return whether a frame is displayed as stored, neither rotated nor mirrored."""
    try:
        matrix = first.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # Side data of a type unknown to PyAV, such as the second view of a spatial video.
        return False
    return matrix is None or bytes(matrix) == _IDENTITY_MATRIX


_TURNS: tuple[Turn, ...] = (UPRIGHT, (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
"""By the number of quarter turns against the clock."""


def turn_of(first: Any) -> Turn:
    """Return how a frame is brought upright: turned by quarters of a circle, and mirrored."""
    try:
        matrix = first.side_data.get("DISPLAYMATRIX")
    except ValueError:  # as above
        return _TURNS[round(first.rotation / 90) % 4]
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))

    def sign(number: int) -> int:
        return 1 if number >= 0 else -1

    return (sign(a), 0, 0, sign(d)) if abs(a) >= abs(b) else (0, sign(b), sign(c), 0)


_CROPPING = re.compile(r"^ +Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)$", re.MULTILINE)
"""Left, right, top and bottom, as libav describes what containers declare."""


def declared_crop(container: Any, stream: Any) -> Crop:
    """Return what the container declares as invisible (Matroska's PixelCrop, the clean aperture of MP4)."""
    own = re.search(rf"Stream #0:{stream.index}\b(?:(?!Stream #).)*", _description(container), re.DOTALL)
    found = _CROPPING.search(own[0]) if own else None
    if found is None:
        return UNCROPPED
    left, right, top, bottom = map(int, found.groups())
    return left, top, right, bottom


def has_captions_inside(first: Any) -> bool:
    """Return whether a frame has data of CEA-608 or CEA-708 captions with it (ATSC A/53, part 4)."""
    try:
        return first.side_data.get("A53_CC") is not None
    except ValueError:  # as above
        return False
