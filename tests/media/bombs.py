"""Bombs: tiny files with false headers, made to cost a careless reader hours or gigabytes, or to crash it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.media.clips import H264, ffmpeg, make_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Change = Callable[[bytearray], None]

INT32_MIN, INT64_MAX = -(2**31), 2**63 - 1
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "5")
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov")
SAMPLES_IN_CHUNK = 0xFFFFFFFF


@dataclass(frozen=True)
class Bomb:
    """A file and the codes with which it may be rejected; if there are none, it must be transcoded."""

    name: str
    make: Callable[[Path], None]
    codes: frozenset[str] = frozenset()


def box(name: bytes, *content: bytes) -> bytes:
    """Return an MP4 box."""
    payload = b"".join(content)
    return struct.pack(">I4s", 8 + len(payload), name) + payload


def changed(*changes: Change, ending: str = "mp4", **traits: object) -> Callable[[Path], None]:
    """Return a function that makes a clip of 30 frames and then changes its bytes."""

    def make(path: Path) -> None:
        clip = make_clip(path.with_name(f"plain.{ending}"), **{"frames": 30, **traits})  # type: ignore[arg-type]
        content = bytearray(clip.read_bytes())
        for change in changes:
            change(content)
        path.write_bytes(content)

    return make


def put(name: bytes, offset: int, value: bytes, *, count: int = 1) -> Change:
    """Return a change that writes `value` at `offset` after the name of the first `count` boxes or elements."""

    def change(content: bytearray) -> None:
        at = 0
        for _ in range(count):
            at = content.index(name, at) + len(name)
            content[at + offset : at + offset + len(value)] = value

    return change


def written(content: bytes) -> Callable[[Path], None]:
    """Return a function that writes these bytes."""
    return lambda path: path.write_bytes(content) and None


def made(*arguments: str) -> Callable[[Path], None]:
    """Return a function that makes a file with ffmpeg."""
    return lambda path: ffmpeg(*arguments, str(path)) and None


def _more_frames(side_px: int, *, from_key_frame: int) -> Change:
    """Return a change that declares `side_px` squared in VP8 key frames (RFC 6386, 9.1), from one key frame on."""
    start_code = b"\x9d\x01\x2a"

    def change(content: bytearray) -> None:
        at, number = content.find(start_code), 0
        while at >= 0:
            if number >= from_key_frame:
                struct.pack_into("<HH", content, at + 3, side_px, side_px)
            at, number = content.find(start_code, at + 1), number + 1
        assert number > from_key_frame

    return change


def _black_png(side_px: int) -> bytes:
    """Return a PNG of black one-bit pixels: a few kilobytes at any size."""

    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + side_px // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    head = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", pixels) + part(b"IEND", b"")


def _video_of_png(side_px: int) -> Callable[[Path], None]:
    """Return a function that writes a MOV whose only frame is a PNG of `side_px` squared."""

    def make(path: Path) -> None:
        clip = make_clip(path.with_name("plain.mov"), frames=1, codec=("-c:v", "png"), size="16x16")
        content, png = clip.read_bytes(), _black_png(side_px)
        start = content.index(b"mdat") + 4
        (index_bytes,) = struct.unpack_from(">I", content, content.index(b"moov") - 4)
        index = bytearray(content[content.index(b"moov") - 4 :][:index_bytes])
        at = index.index(b"stsz") + 4
        struct.pack_into(">II", index, at + 4, len(png), 1)
        at = index.index(b"stco") + 4
        struct.pack_into(">I", index, at + 8, start)
        at = index.index(b"png ", index.index(b"stsd")) + 4
        struct.pack_into(">HH", index, at + 24, side_px, side_px)
        head = content[: start - 8]
        path.write_bytes(head + box(b"mdat", png) + index)

    return make


def _rotated(*numbers: int) -> Callable[[Path], None]:
    """Return a function that makes a clip with these nine numbers as display matrix (ISO/IEC 14496-12, 8.3.2)."""
    return changed(put(b"tkhd", 40, struct.pack(">9i", *numbers)))


def _nested(name: bytes, depth: int, head: bytes = b"") -> bytes:
    """Return nested boxes after a head."""
    inside = b""
    for _ in range(depth):
        inside = struct.pack(">I4s", 8 + len(inside), name) + inside if len(inside) < 2**32 - 8 else inside
    return head + inside


def _nested_elements(depth: int) -> bytes:
    """Return nested Matroska chapter atoms, each of unknown size."""
    head = bytes.fromhex("1a45dfa3 8b 4282 88 6d6174726f736b61")
    segment = bytes.fromhex("18538067 01ffffffffffffff")
    return head + segment + bytes.fromhex("1043a770 01ffffffffffffff 45b9 01ffffffffffffff") + b"\xb6\xff" * depth


def _pages_resealed(content: bytearray) -> None:
    """Update the checksum of every Ogg page to its current content (RFC 3533, 6)."""
    at = content.find(b"OggS")
    while at >= 0:
        end = content.find(b"OggS", at + 4)
        page = content[at : end if end >= 0 else len(content)]
        page[22:26] = bytes(4)
        checksum = 0
        for byte in page:
            checksum ^= byte << 24
            for _ in range(8):
                checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
        struct.pack_into("<I", content, at + 22, checksum)
        at = end


def _last_page_at_the_end_of_time(content: bytearray) -> None:
    struct.pack_into("<q", content, content.rindex(b"OggS") + 6, INT64_MAX - 1)
    _pages_resealed(content)


ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
FTYP = box(b"ftyp", b"isom", bytes(4), b"isom")

DAMAGED = frozenset({"DAMAGED"})
BROKEN_INDEX = frozenset({"DAMAGED", "NOTHING_TO_PLAY"})
REJECTED_CLOCK = frozenset({"DAMAGED", "BROKEN_TIMES", "TOO_LONG"})
NO_VIDEO = frozenset({"UNKNOWN_CODEC", "NOTHING_TO_PLAY", "DAMAGED"})
MPEG4 = ("-c:v", "mpeg4")


def _gap(seconds: int, ending: str) -> Callable[[Path], None]:
    return changed(ending=ending, filters=f"setpts=PTS+gte(N\\,15)*{seconds}/TB", extra=("-fps_mode", "passthrough"))


BOMBS = {
    # Clocks.
    "a gap of 11 hours in mkv": Bomb("a.mkv", _gap(40_000, "mkv"), REJECTED_CLOCK),
    "a gap of 11 hours in mp4": Bomb("a.mp4", _gap(40_000, "mp4"), REJECTED_CLOCK),
    "a gap of 13 hours in flv": Bomb("a.flv", _gap(47_000, "flv"), REJECTED_CLOCK),
    "a gap of 25 hours in ts": Bomb("a.ts", _gap(90_000, "ts"), REJECTED_CLOCK),
    "a start near the end of time": Bomb(
        "a.mp4", changed(put(b"tfdt", 4, struct.pack(">q", INT64_MAX - 1000)), extra=FRAGMENTED), REJECTED_CLOCK
    ),
    "a clock that ends after its first fragment": Bomb(
        "a.mp4",
        changed(put(b"tfdt", 4, struct.pack(">q", -(2**62))), extra=FRAGMENTED, codec=(*H264, "-g", "5"), frames=30),
        REJECTED_CLOCK,
    ),
    "143,165 s declared by a fragmented file": Bomb(
        "a.mp4", changed(put(b"mvhd", 16, b"\xff" * 4), put(b"mdhd", 16, b"\xff" * 4), extra=FRAGMENTED)
    ),
    "49 days declared by its index": Bomb(
        "a.mp4", changed(put(b"mvhd", 16, b"\xff" * 4), put(b"mdhd", 16, b"\xff" * 4))
    ),
    "no timescale in the movie header": Bomb("a.mp4", changed(put(b"mvhd", 12, bytes(4))), DAMAGED),
    "no timescale in the track": Bomb("a.mp4", changed(put(b"mdhd", 12, bytes(4))), DAMAGED | REJECTED_CLOCK),
    "the largest timescale": Bomb("a.mp4", changed(put(b"mdhd", 12, b"\x7f" + b"\xff" * 3)), DAMAGED),
    "a frame lasts 2 billion ticks": Bomb("a.mp4", changed(put(b"stts", 12, b"\x7f\xff\xff\xff")), REJECTED_CLOCK),
    "no frame has a duration": Bomb("a.mp4", changed(put(b"stts", 12, bytes(4)))),
    "4 billion frames of one duration": Bomb("a.mp4", changed(put(b"stts", 8, b"\xff" * 4))),
    "4 billion frames of one size": Bomb(
        "a.mp4", changed(put(b"stsz", 4, struct.pack(">II", 1, SAMPLES_IN_CHUNK))), DAMAGED
    ),
    "4 billion frames in an stsc entry": Bomb("a.mp4", changed(put(b"stsc", 12, b"\xff" * 4))),
    "4 billion sizes": Bomb("a.mp4", changed(put(b"stsz", 8, b"\xff" * 4)), DAMAGED),
    "4 billion stco entries": Bomb("a.mp4", changed(put(b"stco", 4, b"\xff" * 4)), DAMAGED),
    "4 billion frames in a fragment": Bomb("a.mp4", changed(put(b"trun", 4, b"\xff" * 4), extra=FRAGMENTED), DAMAGED),
    "an edit from the end of time": Bomb(
        "a.mp4", changed(put(b"elst", 8, struct.pack(">Ii", 1000, 2**31 - 1))), DAMAGED
    ),
    "an edit that lasts 49 days": Bomb("a.mp4", changed(put(b"elst", 8, b"\xff" * 4))),
    "4 billion edits": Bomb("a.mp4", changed(put(b"elst", 4, b"\xff" * 4)), DAMAGED),
    "2 billion frames per second in avi": Bomb(
        "a.avi",
        changed(put(b"vids", 16, struct.pack("<II", 1, 2**31 - 1)), ending="avi", codec=MPEG4),
        DAMAGED,
    ),
    "a frame in 136 years in avi": Bomb(
        "a.avi",
        changed(put(b"vids", 16, struct.pack("<II", 2**32 - 1, 1)), ending="avi", codec=MPEG4),
        REJECTED_CLOCK | DAMAGED,
    ),
    "no rate in avi": Bomb("a.avi", changed(put(b"vids", 16, bytes(8)), ending="avi", codec=MPEG4), DAMAGED),
    # Matroska's TimestampScale (2A D7 B1), nanoseconds per tick; its size byte precedes its value.
    "a tick of 17 ms in mkv": Bomb("a.mkv", changed(put(b"\x2a\xd7\xb1", 0, b"\x83\xff\xff\xff"), ending="mkv")),
    "no tick in mkv": Bomb("a.mkv", changed(put(b"\x2a\xd7\xb1", 0, b"\x83\0\0\0"), ending="mkv"), DAMAGED),
    "a clock at the end of time in ogg": Bomb(
        "a.ogv", changed(_last_page_at_the_end_of_time, ending="ogv", codec=("-c:v", "libtheora")), REJECTED_CLOCK
    ),
    "2 billion frames per second in ogg": Bomb(
        "a.ogv",
        # Theora I specification, 6.2: after the sizes, FRN and FRD give the rate.
        changed(
            put(b"\x80theora", 15, struct.pack(">II", 2**31 - 1, 1)),
            _pages_resealed,
            ending="ogv",
            codec=("-c:v", "libtheora"),
        ),
        REJECTED_CLOCK,
    ),
    "a day declared by an flv": Bomb(
        "a.flv", changed(put(b"duration\0", 0, struct.pack(">d", 86_400.0)), ending="flv")
    ),
    "a day declared by an asf": Bomb(
        "a.wmv", changed(put(ASF_FILE_PROPERTIES, 48, b"\xff" * 7 + b"\x7f"), ending="wmv", codec=("-c:v", "wmv2"))
    ),
    "all clock bits set in a ts": Bomb(
        "a.ts", changed(put(b"\0\0\1\xe0\0\0\x80\xc0", 1, b"\x3f\xff\xff\xff\xff"), ending="ts"), REJECTED_CLOCK
    ),
    # Frame sizes.
    "a frame of 16,000 squared": Bomb(
        "a.webm", changed(_more_frames(16_000, from_key_frame=0), ending="webm", codec=VP8), frozenset({"TOO_LARGE"})
    ),
    "frames that grow to 16,000 squared": Bomb(
        # Most of its frames.
        "a.webm",
        changed(_more_frames(16_000, from_key_frame=2), ending="webm", codec=VP8),
        frozenset({"TOO_LARGE"}),
    ),
    "a PNG of 16,000 squared": Bomb("a.mov", _video_of_png(16_000), frozenset({"TOO_LARGE"})),
    "a PNG of 64,000 squared": Bomb("a.mov", _video_of_png(64_000), frozenset({"TOO_LARGE", "DAMAGED"})),
    "a track as large as can be": Bomb("a.mp4", changed(put(b"avc1", 24, b"\xff" * 4), put(b"tkhd", 76, b"\xff" * 8))),
    "a track without a size": Bomb("a.mp4", changed(put(b"avc1", 24, bytes(4)), put(b"tkhd", 76, bytes(8)))),
    "a frame of 2 x 2 pixels": Bomb(
        "a.mkv", changed(ending="mkv", codec=("-c:v", "ffv1"), filters="scale=2:2"), frozenset({"TOO_SMALL"})
    ),
    # Display matrices.
    "a matrix of INT32_MIN": Bomb("a.mp4", _rotated(*[INT32_MIN] * 9)),
    "a matrix of zeros": Bomb("a.mp4", _rotated(*[0] * 9)),
    "a matrix of INT32_MIN and zeros": Bomb("a.mp4", _rotated(INT32_MIN, 0, 0, 0, 0, 0, 0, 0, 0)),
    "a matrix of the smallest numbers": Bomb("a.mp4", _rotated(1, 1, 1, -1, 1, 1, 1, 1, 1)),
    "pixels 2 billion times wider than high": Bomb(
        "a.mp4", changed(put(b"pasp", 0, struct.pack(">II", 2**31 - 1, 1)), filters="setsar=4/3")
    ),
    # Streams without a codec.
    "a video stream without a codec in mp4": Bomb("a.mp4", changed(put(b"stsd", 12, b"zzzz")), NO_VIDEO),
    "a video stream without a codec in mkv": Bomb(
        "a.mkv", changed(put(b"V_MPEG", -6, b"V_XXXX"), ending="mkv"), NO_VIDEO
    ),
    "a video stream without a codec in avi": Bomb(
        "a.avi",
        changed(put(b"vids", 0, b"zzzz"), put(b"strf", 20, b"zzzz"), ending="avi", codec=MPEG4),
        NO_VIDEO,
    ),
    "a video stream without a handler type": Bomb("a.mp4", changed(put(b"hdlr", 8, b"zzzz")), NO_VIDEO),
    "audio without a codec": Bomb(
        "a.mkv", changed(put(b"A_AC3", -5, b"A_XXX"), ending="mkv", audio_s=1.0, extra=("-c:a", "ac3"))
    ),
    "audio in 65,535 channels at 65,535 Hz in mp4": Bomb(
        "a.mp4", changed(put(b"mp4a", 16, b"\xff\xff"), put(b"mp4a", 24, b"\xff" * 4), audio_s=1.0)
    ),
    "audio in 65,535 channels in avi": Bomb(
        "a.avi",
        changed(
            put(b"\1\0\1\0\x80\xbb", -4, b"\xff\xff"),
            ending="avi",
            codec=MPEG4,
            audio_s=1.0,
            extra=("-c:a", "pcm_s16le"),
        ),
    ),
    "audio of one sample per hour": Bomb(
        "a.avi",
        changed(
            put(b"auds", 16, struct.pack("<II", 3600, 1)),
            ending="avi",
            codec=MPEG4,
            audio_s=1.0,
            extra=("-c:a", "pcm_s16le"),
        ),
        REJECTED_CLOCK,
    ),
    "an audio codec for the video stream": Bomb("a.mp4", changed(put(b"stsd", 12, b"mp4a")), NO_VIDEO),
    # Boxes.
    "1 byte": Bomb("a.mp4", written(b"\0"), frozenset({"NOT_A_VIDEO"})),
    "1 byte of a ts": Bomb("a.ts", written(b"\x47"), frozenset({"NOT_A_VIDEO"})),
    "30,000 nested boxes": Bomb("a.mp4", written(_nested(b"moov", 30_000, FTYP)), BROKEN_INDEX),
    "30,000 nested tracks": Bomb("a.mp4", written(FTYP + box(b"moov", _nested(b"trak", 30_000))), BROKEN_INDEX),
    "300,000 nested elements": Bomb("a.mkv", written(_nested_elements(300_000)), BROKEN_INDEX),
    "a box of 2^63 bytes": Bomb("a.mp4", written(FTYP + b"\0\0\0\1moov" + b"\x7f" + b"\xff" * 7), BROKEN_INDEX),
    "a box of 2^64 bytes": Bomb("a.mp4", written(FTYP + b"\0\0\0\1moov" + b"\xff" * 8), BROKEN_INDEX),
    "a box of 4 GiB": Bomb("a.mp4", written(FTYP + b"\xff\xff\xff\xffmoov" + box(b"mvhd", bytes(100))), BROKEN_INDEX),
    "a box of 0 bytes in the index": Bomb("a.mp4", changed(put(b"mdhd", -8, bytes(4))), BROKEN_INDEX),
    "a million empty boxes": Bomb("a.mp4", written(FTYP + box(b"free") * 1_000_000), BROKEN_INDEX),
    "an index compressed 1,000 times": Bomb(
        "a.mp4",
        written(
            FTYP
            + box(
                b"moov",
                box(
                    b"cmov",
                    box(b"dcom", b"zlib"),
                    box(b"cmvd", struct.pack(">I", 2**31 - 1), zlib.compress(bytes(50_000_000))),
                ),
            )
        ),
        BROKEN_INDEX,
    ),
}
"""By name. A file that may be rejected may also be transcoded: versions of ffmpeg accept different false headers."""
