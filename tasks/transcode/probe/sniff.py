"""Detection of a file's format from its first bytes, so that ffmpeg never has to guess it.

A guess is dangerous: a playlist or script named lecture.mp4 would make ffmpeg open the files or
URLs that it lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import InputRejectedError
from ..rejections import KINDS, rejection

if TYPE_CHECKING:
    from pathlib import Path

_SEARCH_BYTES = 4096
"""How far into a file the first packet of a stream may begin: recorders and programs that split files
cut in the middle of a packet, or leave zeros before the first one. ffmpeg finds the packet size of a
transport stream in the first 8 KiB (get_packet_size in mpegts.c).
"""

_TS_SIZES_BYTES = (188, 192, 204)
"""Of a transport stream's packets: plain; after a timecode of 4 bytes (camcorders, Blu-ray); before 16 bytes
of Reed-Solomon code (DVB recorders; ETSI EN 300 429).
"""

_TS_SYNC = b"\x47"
_FEWEST_TS_PACKETS, _FEWEST_TORN_TS_PACKETS = 3, 12
"""Consecutive packets that prove a transport stream if the first one begins the file, and if it does not: one
byte in 256 is a sync byte by chance.
"""

_PACK_START = b"\x00\x00\x01\xba"
_PACK_HEADER_BYTES = 14
"""Of MPEG-2, without stuffing; of MPEG-1, it has 12."""
_MPEG1_MARKERS = 0b00100001

_PACKET_START = re.compile(rb"\x00\x00\x01[\xbb-\xff]", re.DOTALL)
"""Of a packet of a program stream, before its length in 16 bits (ISO/IEC 13818-1, table 2-22). The codes between the
frames of a raw stream are lower.
"""
_LENGTH_END_BYTES = 6
_LONGEST_PACKET_BYTES = _LENGTH_END_BYTES + 0xFFFF
_FEWEST_PACKETS = 3
"""Consecutive packets that prove a program stream, each of which ends where the next one starts. There may be no pack
header for long: MPEG-1 requires one in 0.7 s (ISO/IEC 11172-1, 2.4.5.2), and ffmpeg writes one in 2 s.
"""

_DIF_BLOCK_BYTES = 80
_DIF_BLOCKS = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
"""Kind and number of the blocks that begin each frame of DV: header, subcode, auxiliary data (SMPTE 314M, 4.2)."""
_DIF_HEADER = re.compile(rb"\x1f\x07\x00[\x3f\xbf]")
"""Begins the first of them; its last byte differs for 50 and 60 fields per second."""

HEAD_BYTES = (_FEWEST_PACKETS + 1) * _LONGEST_PACKET_BYTES
"""What is read of the file; it has a whole frame of DV (144,000 bytes) in any case."""

_MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")

_VIDEO_MAGIC = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"FLV", "flv"),
    (b"OggS", "ogg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "mxf"),
)

_OTHER_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\xd0\xcf\x11\xe0", "office"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
    (b"#EXTM3U", "playlist"),
    (b"ffconcat", "script"),
    (b"\x00\x00\x01\xb3", "mpeg"),
    (b"<", "text"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf", "7z"),
)


def sniff_demuxer(path: Path) -> str:
    """Return the name of the only ffmpeg demuxer that may read this file.

    Raises InputRejectedError.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputRejectedError(**rejection("EMPTY_FILE"))
    demuxer = _demuxer_of(head)
    if demuxer is None:
        raise InputRejectedError(**rejection("NOT_A_VIDEO", kind=KINDS[_other_kind(head)]))
    return demuxer


def _demuxer_of(head: bytes) -> str | None:
    if head[4:8] in _MP4_FIRST_BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    for magic, demuxer in _VIDEO_MAGIC:
        if head.startswith(magic):
            return demuxer
    if any(_has_sync_bytes(head, start, size, _FEWEST_TS_PACKETS) for start, size in ((0, 188), (4, 192), (0, 204))):
        return "mpegts"
    # The rest of a packet may begin as a raw stream does.
    kind = _other_kind(head)
    return _torn_demuxer_of(head) if kind in {"", "mpeg"} else None


def _torn_demuxer_of(head: bytes) -> str | None:
    """Return the demuxer of a stream that begins in the middle of a packet, or after zeros."""
    starts = range(_SEARCH_BYTES)
    if any(_has_sync_bytes(head, start, size, _FEWEST_TORN_TS_PACKETS) for size in _TS_SIZES_BYTES for start in starts):
        return "mpegts"
    if any(_is_pack_header(head, start) for start in starts) or _has_packets(head):
        return "mpeg"
    return "dv" if any(_begins_dv_frame(head, match.start()) for match in _DIF_HEADER.finditer(head)) else None


def _has_sync_bytes(head: bytes, start: int, size: int, packets: int) -> bool:
    return head[start : start + (packets - 1) * size + 1 : size] == packets * _TS_SYNC


def _is_pack_header(head: bytes, start: int) -> bool:
    """Return whether a program stream's pack header is there, with its marker bits and what must follow it.

    ISO/IEC 13818-1, 2.5.3.3, or 11172-1, 2.4.3.2 (MPEG-1).
    """
    if not head.startswith(_PACK_START, start) or len(head) < start + _PACK_HEADER_BYTES:
        return False
    if head[start + 4] >> 6 == 0b01:
        end = start + _PACK_HEADER_BYTES + (head[start + 13] & 0b111)
        return bool(head[start + 4] & head[start + 6] & head[start + 8] & 0b100) and _is_start_code(head, end)
    return head[start + 4] & 0b11110001 == _MPEG1_MARKERS and _is_start_code(head, start + 12)


def _has_packets(head: bytes) -> bool:
    """Return whether consecutive packets of a program stream begin in what may be the rest of one."""
    return any(
        _are_packets(head, match.start(), _FEWEST_PACKETS)
        for match in _PACKET_START.finditer(head, 0, _LONGEST_PACKET_BYTES)
    )


def _are_packets(head: bytes, start: int, count: int) -> bool:
    """Return whether `count` packets begin here and another start code follows, with pack headers between or not."""
    for _ in range(count):
        if _is_pack_header(head, start):
            start += 12 if head[start + 4] >> 6 == 0 else _PACK_HEADER_BYTES + (head[start + 13] & 0b111)
        if not _PACKET_START.match(head, start):
            return False
        start += _LENGTH_END_BYTES + int.from_bytes(head[start + 4 : start + _LENGTH_END_BYTES], "big")
    return _is_start_code(head, start)


def _begins_dv_frame(head: bytes, start: int) -> bool:
    blocks = (head[at : at + 3] for at in range(start, start + len(_DIF_BLOCKS) * _DIF_BLOCK_BYTES, _DIF_BLOCK_BYTES))
    return bool(_DIF_HEADER.match(head, start)) and all(
        len(block) == 3 and (block[0] >> 5, block[1] >> 4, block[2]) == (kind, 0, number)  # noqa: PLR2004 - its id
        for block, (kind, number) in zip(blocks, _DIF_BLOCKS, strict=True)
    )


def _is_start_code(head: bytes, start: int) -> bool:
    return head.startswith(b"\0\0\1", start) and head[start + 3 : start + 4] >= b"\xb9"


def _other_kind(head: bytes) -> str:
    if head[:4] == b"RIFF":
        return "wav" if head[8:12] == b"WAVE" else "riff"
    return next((kind for magic, kind in _OTHER_MAGIC if head.startswith(magic)), "")
