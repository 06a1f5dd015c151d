"""Detection of a file's format from its first bytes, so that ffmpeg never has to guess it.

A guess is dangerous: a playlist or script named lecture.mp4 would make ffmpeg open the files or
URLs that it lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputRejectedError

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 1024
"""What is read of the file."""

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
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"ID3", "an MP3 audio file"),
    (b"fLaC", "a FLAC audio file"),
    (b"#EXTM3U", "a playlist that only refers to a video"),
    (b"ffconcat", "a script that only refers to a video"),
    (b"\x00\x00\x01\xb3", "a raw MPEG video stream, without audio or timestamps"),
    (b"<", "a web page or another text file"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
)


def sniff_demuxer(path: Path) -> str:
    """Return the name of the only ffmpeg demuxer that may read this file.

    Raises InputRejectedError.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputRejectedError(code="EMPTY_FILE", message="The file is empty. Please upload the video again.")
    demuxer = _demuxer_of(head)
    if demuxer is None:
        raise InputRejectedError(
            code="NOT_A_VIDEO",
            message=f"This file is not a video that we can read: it looks like {_guess(head)}. "
            "Please upload the video itself, preferably as an MP4 file.",
        )
    return demuxer


def _demuxer_of(head: bytes) -> str | None:
    if head[4:8] in _MP4_FIRST_BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    for magic, demuxer in _VIDEO_MAGIC:
        if head.startswith(magic):
            return demuxer
    # Transport stream packets: 188 bytes each, or 192 with a leading 4-byte timecode (camcorders).
    for start, step in ((0, 188), (4, 192)):
        if all(head[at : at + 1] == b"\x47" for at in range(start, start + 3 * step, step)):
            return "mpegts"
    return None


def _guess(head: bytes) -> str:
    for magic, name in _OTHER_MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "a WAV audio file"
    return "a file of another kind, or one that was damaged during the upload"
