"""A file's first bytes determine the only demuxer that may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRejectedError
from tasks.transcode.probe.sniff import sniff_demuxer

if TYPE_CHECKING:
    from pathlib import Path

PACKET = b"\x47" + bytes(187)
PES = b"\0\0\x01\xe0\x00\x64" + b"\xee" * 100
DV = b"".join(
    bytes([kind << 5 | 0x1F, 0x07, number, 0x3F]) + bytes(76)
    for kind, number in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0), (4, 0))
)


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"\0\0\0\x20ftypisom", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\x1a\x45\xdf\xa3\x01", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"FLV\x01", "flv"),
        (b"OggS\0", "ogg"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
        (b"\0\0\x01\xba", "mpeg"),
        (PACKET * 4, "mpegts"),
        ((bytes(4) + PACKET) * 4, "mpegts"),
        (b"\xee" * 50_000 + 3 * PES + b"\0\0\x01\xba", "mpeg"),
        (b"\0\0\x01\xb3" + bytes(50) + 4 * PES, "mpeg"),
        (DV, "dv"),
        (DV.replace(b"\x1f\x07\0\x3f", b"\x1f\x07\0\xbf"), "dv"),
        (b"\xee" * 100_000 + DV, "dv"),
    ],
)
def test_demuxer_is_chosen_when_the_first_bytes_are_known(head: bytes, demuxer: str, tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(head + bytes(100))
    assert sniff_demuxer(path) == demuxer


OTHERS = {
    "two packets": 2 * PES + b"\xee" * 100,
    "packets with gaps": 4 * (PES + b"\xee"),
    "raw MPEG video": 40 * (b"\0\0\x01\xb3" + bytes(100) + b"\0\0\x01\x00" + bytes(100)),
    "a block of DV": DV[:80] + b"\xee" * 1000,
    "blocks of DV in another order": DV[:80] + DV[160:240] + DV[80:160] + DV[240:],
}


@pytest.mark.parametrize(
    "head", [b"RIFF\0\0\0\0WAVE", b"G", b"\x47" * 3, b"GIF89a", b"<html>", b"hello", *OTHERS.values()]
)
def test_file_is_rejected_when_the_first_bytes_are_unknown(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lecture.mp4"
    path.write_bytes(head)
    with pytest.raises(InputRejectedError, match="NOT_A_VIDEO"):
        sniff_demuxer(path)
