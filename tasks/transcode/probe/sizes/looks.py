"""What the frames of a whole video are like, found without decoding it.

That changes only at key frames, and the size in VP9 at any frame. One key frame is decoded for each new set of
parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags

from ...source import Shape
from .bits import Bits
from .configuration import CONFIGURED, parameter_units
from .jpeg import JPEG_HEADER_BYTES, jpeg_header
from .vp9 import Vp9Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable

_LENGTH_PREFIXED = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb", "vvc": "vvc_mp4toannexb"}
"""Filters that bring H.264, HEVC and VVC of any container into the form that the next filter reads."""

_HEADER_BYTES = {"vp8": slice(3, 10), "vp9": slice(0, 9)}
"""Where key frames have their size (RFC 6386, 9.1; VP9 bitstream specification, 6.2)."""

_SAMPLED_EVERY_S = 30
"""Of the other codecs a key frame is decoded this often. In most of them the size cannot change."""

_MOST_DECODED = 500
"""Key frames to decode. Beyond it, new parameters are taken for the ones before."""


@dataclass(frozen=True)
class Look:
    """What a decoded key frame is like: see SourceInfo."""

    shape: Shape
    """With the sample aspect ratio that the codec declares."""
    pixel_format: str
    matrix: str
    transfer: str
    full_range: bool
    interlaced: bool


_MAX_SAMPLE_ASPECT = 16

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Names that ffmpeg's scale filter accepts, by their numbers in ITU-T H.273, table 4."""

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG of ffmpeg."""

_HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
"""HDR10 and the base layer of Dolby Vision; HLG. By their numbers in ITU-T H.273, table 3."""


def sample_aspect(stream: Any) -> Fraction:
    """Return pixel width over height; 1 if absent or implausible.

    The value of the container takes precedence over that of the codec.
    """
    return plausible_aspect(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio)


def plausible_aspect(declared: Fraction | None) -> Fraction:
    """Return pixel width over height as declared; 1 if that is absent or implausible."""
    aspect = Fraction(declared or 1)
    plausible = Fraction(1, _MAX_SAMPLE_ASPECT) <= aspect <= _MAX_SAMPLE_ASPECT
    return aspect if plausible else Fraction(1)


def crop_exactly(decoder: Any) -> None:
    """Let a decoder crop frames by what their parameter sets declare, as ffmpeg does.

    Otherwise, libav leaves columns at the left that would make rows begin at an odd place in memory:
    findings/pyav-leaves-cropped-columns.sh.
    """
    decoder.flags |= Flags.unaligned


def look_of(frame: Any, codec: Any) -> Look:
    """Return what a frame is like that this decoder has just returned."""
    return Look(
        Shape(frame.width, frame.height, plausible_aspect(codec.sample_aspect_ratio)),
        pixel_format=frame.format.name,
        matrix=_MATRICES.get(int(frame.colorspace), "unknown"),
        transfer=_HDR_TRANSFERS.get(int(frame.color_trc), ""),
        full_range=int(frame.color_range) == _FULL_RANGE,
        interlaced=bool(frame.interlaced_frame),
    )


class Looks:
    """The looks of the frames of one stream, in order of time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._codec = stream.codec_context.codec.canonical_name
        self._filter = _parameter_filter(stream, self._codec)
        self._vp9 = Vp9Sizes() if self._codec == "vp9" else None
        self._decoder: Any = None
        self._looks: dict[object, Look | None] = {}
        self._parameters = b""
        self._described = b""
        """Parameter sets of the track's description that holds, if it is not the first one."""
        self._decoded = 0
        self._latest: Look | None = None
        self._sampled_pts: int | None = None
        self._changes: list[tuple[int, Look]] = []
        self.parameter_sets: set[bytes] = set()
        """The different parameter sets of the stream, if its codec has any."""

    def take(self, packet: Any, pts: int) -> None:
        """Process one packet of the stream. It may be empty afterwards."""
        size = self._vp9.size_of(memoryview(packet)) if self._vp9 else None
        if packet.is_keyframe:
            self._take_key(packet, pts)
        if size and self._latest and size != (self._latest.shape.width_px, self._latest.shape.height_px):
            width_px, height_px = size
            shape = replace(self._latest.shape, width_px=width_px, height_px=height_px)
            self._add(pts, replace(self._latest, shape=shape))

    def all(self, first_pts: int, first: Look) -> list[tuple[int, Look]]:
        """Return from which time on frames look how, in ascending order of time.

        `first` is the first frame that decodes; what comes before it is left out.
        """
        found = sorted(self._changes, key=lambda change: change[0])
        before = [look.shape for pts, look in found if pts <= first_pts]
        if before and (before[-1].width_px, before[-1].height_px) == (first.shape.width_px, first.shape.height_px):
            # With the sample aspect ratio as this decoder reports it, without the container's.
            first = replace(first, shape=before[-1])
        return [(first_pts, first), *(change for change in found if change[0] > first_pts)]

    def _take_key(self, packet: Any, pts: int) -> None:
        signature, parts = self._sign(packet, pts)
        if signature is None:
            return
        if signature not in self._looks and self._decoded < _MOST_DECODED:
            self._decoded += 1
            self._looks[signature] = self._decode(parts)
        look = self._looks.get(signature)
        if look is not None:
            self._add(pts, look)

    def _add(self, pts: int, look: Look) -> None:
        if look != self._latest:
            self._changes.append((pts, look))
        self._latest = look

    def _sign(self, packet: Any, pts: int) -> tuple[object, list[Any]]:
        """Return what all key frames of one look have in common, or None; and the packets to decode."""
        if self._codec == "mjpeg":
            return jpeg_header(memoryview(packet)[:JPEG_HEADER_BYTES]), [packet]
        if self._codec in _HEADER_BYTES:
            return bytes(memoryview(packet)[_HEADER_BYTES[self._codec]]), [packet]
        if self._filter is None:
            interval = _SAMPLED_EVERY_S / Fraction(self._stream.time_base)
            if self._sampled_pts is not None and abs(pts - self._sampled_pts) < interval:
                return None, []
            self._sampled_pts = pts
            return pts, [packet]
        if self._codec in CONFIGURED and packet.has_sidedata("new_extradata"):
            self._take_description(bytes(packet.get_sidedata("new_extradata")))
        try:
            # A filter has the first description only: the sets of a later one go between the frames.
            parts = self._filter.filter(av.Packet(self._described + bytes(packet)) if self._described else packet)
        except (av.error.FFmpegError, ValueError):
            self._filter.flush()
            return None, []
        for part in parts:
            found = part.get_sidedata("new_extradata") if part.has_sidedata("new_extradata") else None
            if found is not None and bytes(found):
                self._parameters = bytes(found)
                self.parameter_sets.add(self._parameters)
        return (self._parameters, _active_set(parts, self._codec)), parts

    def _take_description(self, configuration: bytes) -> None:
        first = self._stream.codec_context.extradata or b""
        self._described = parameter_units(configuration, self._codec, like=first) if configuration != first else b""

    def _decode(self, packets: Iterable[Any]) -> Look | None:
        if self._decoder is None:
            own = self._stream.codec_context
            self._decoder = av.CodecContext.create(own.codec, "r")
            self._decoder.thread_count = 1
            crop_exactly(self._decoder)
            if self._codec not in _LENGTH_PREFIXED and own.extradata:
                self._decoder.extradata = own.extradata
        look = None
        try:
            for packet in (*packets, None):
                for frame in self._decoder.decode(packet):
                    look = look or look_of(frame, self._decoder)
        except (av.error.FFmpegError, ValueError):
            # A damaged packet; a later one may decode.
            pass
        self._decoder.flush_buffers()
        return look


def _parameter_filter(stream: Any, codec: str) -> Any:
    names = [_LENGTH_PREFIXED[codec]] if codec in _LENGTH_PREFIXED else []
    try:
        return BitStreamFilterContext(",".join([*names, "extract_extradata"]), in_stream=stream)
    except (av.error.FFmpegError, ValueError):
        # A codec without parameter sets.
        return None


_START_CODE = b"\x00\x00\x01"
_SEARCHED_BYTES = 4096
"""More than what precedes the first slice of a frame."""

_H264_SLICES, _HEVC_SLICES, _HEVC_RANDOM_ACCESS = (1, 5), range(32), range(16, 24)


def _active_set(packets: Iterable[Any], codec: str) -> int:
    """Return the number of the parameter set (PPS) that a frame refers to; 0 if it cannot be read.

    A track may begin with parameter sets of several sizes, between which its key frames choose.
    """
    if codec not in {"h264", "hevc"}:
        return 0
    content = b"".join(bytes(memoryview(packet)[:_SEARCHED_BYTES]) for packet in packets)
    at = content.find(_START_CODE)
    while at >= 0:
        unit = content[at + len(_START_CODE) :][:16]
        if codec == "h264" and unit and unit[0] & 31 in _H264_SLICES:
            bits = Bits(unit[1:])
            bits.read_golomb()
            bits.read_golomb()
            return bits.read_golomb()
        if codec == "hevc" and unit and unit[0] >> 1 & 63 in _HEVC_SLICES:
            bits = Bits(unit[2:])
            bits.read(2 if unit[0] >> 1 & 63 in _HEVC_RANDOM_ACCESS else 1)
            return bits.read_golomb()
        at = content.find(_START_CODE, at + 1)
    return 0
