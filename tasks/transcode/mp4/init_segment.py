"""Facts from the init (ftyp and moov) of a track that players need: timescale, codec, shift."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .boxes import InvalidBoxError, children, descend

_AUDIO_ENTRY_BYTES = 28
_VIDEO_ENTRY_BYTES = 78
"""Size of the fixed fields of a sample entry before its boxes (ISO/IEC 14496-12, clause 12)."""


@dataclass(frozen=True)
class InitInfo:
    """Facts from an init.

    `shift_ticks` is the media time that is presented at time 0 (edit list).
    """

    timescale: int
    codec: str
    shift_ticks: int


def read_init(init: bytes) -> InitInfo:
    """Return the facts about the only track in `init`. Raises InvalidBoxError."""
    try:
        moov = descend(init, b"moov")
        mdhd = descend(moov, b"trak", b"mdia", b"mdhd")
        (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)
        entries = descend(moov, b"trak", b"mdia", b"minf", b"stbl", b"stsd")
        kind, entry = next(children(entries, 8))
        return InitInfo(timescale, _codec(kind, entry), _shift_ticks(moov))
    except (struct.error, IndexError, StopIteration) as error:
        raise InvalidBoxError(reason="the init is truncated") from error


def set_shift(init: bytes, shift_ticks: int) -> bytes:
    """Return the init with another shift; unchanged if it has no edit list. Raises InvalidBoxError."""
    if not read_init(init).shift_ticks:
        return init
    old = _edit_list(descend(init, b"moov"))
    (edits,) = struct.unpack_from(">I", old, 4)
    if edits != 1:
        raise InvalidBoxError(reason=f"its edit list has {edits} entries instead of one")
    new = bytearray(old)
    struct.pack_into(">q" if old[0] else ">i", new, 16 if old[0] else 12, shift_ticks)
    return init.replace(b"elst" + old, b"elst" + bytes(new))


def _codec(kind: bytes, entry: bytes) -> str:
    """Return the codec string of RFC 6381 (section 3.3)."""
    if kind == b"avc1":
        profile, constraints, level = descend(entry[_VIDEO_ENTRY_BYTES:], b"avcC")[1:4]
        return f"avc1.{profile:02x}{constraints:02x}{level:02x}"
    if kind == b"mp4a":
        object_type, specific = _decoder_config(descend(entry[_AUDIO_ENTRY_BYTES:], b"esds")[4:])
        return f"mp4a.{object_type:02x}.{specific[0] >> 3}"
    raise InvalidBoxError(reason=f"unexpected codec {kind!r}")


def _decoder_config(descriptors: bytes) -> tuple[int, bytes]:
    """Return object type and decoder-specific info of an ES descriptor (ISO/IEC 14496-1, 7.2.6)."""
    _, elementary = _descriptor(descriptors, 0x03)
    _, config = _descriptor(elementary[3:], 0x04)
    _, specific = _descriptor(config[13:], 0x05)
    return config[0], specific


def _descriptor(data: bytes, tag: int) -> tuple[int, bytes]:
    if data[0] != tag:
        raise InvalidBoxError(reason=f"found descriptor {data[0]} instead of {tag}")
    at, size = 1, 0
    while True:
        byte = data[at]
        size = size << 7 | byte & 0x7F
        at += 1
        if not byte & 0x80:
            return tag, data[at : at + size]


def _shift_ticks(moov: bytes) -> int:
    elst = _edit_list(moov)
    if not elst:
        return 0
    (media_time,) = struct.unpack_from(">q" if elst[0] else ">i", elst, 16 if elst[0] else 12)
    return int(media_time)


def _edit_list(moov: bytes) -> bytes:
    """Return the content of the track's edit list; empty if it has none."""
    track = descend(moov, b"trak")
    has_edits = any(kind == b"edts" for kind, _ in children(track, 0))
    return descend(track, b"edts", b"elst") if has_edits else b""
