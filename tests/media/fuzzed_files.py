"""Fuzzed files: small files of every container, damaged at random but reproducibly, by number."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.media.clips import H264, ffmpeg, numbers_filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MPEG4 = ("-c:v", "mpeg4", "-g", "8")
AAC, OPUS, MP2 = ("-c:a", "aac"), ("-c:a", "libopus", "-b:a", "32k"), ("-c:a", "mp2")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "8")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "8")
PS = ("-c:v", "mpeg2video", "-g", "8", *MP2)
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")

SEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mp4": ("a.mp4", (*H264, *AAC)),
    "mp4 in fragments": ("a.mp4", (*H264, "-g", "8", *AAC, *FRAGMENTED)),
    "mov": ("a.mov", ("-c:v", "mjpeg", "-q:v", "20", "-c:a", "pcm_s16be")),
    "3gp": ("a.3gp", (*MPEG4, *AAC)),
    "mkv": ("a.mkv", (*H264, "-c:a", "ac3")),
    "webm": ("a.webm", (*VP9, *OPUS)),
    "webm without cues": ("a.webm", (*VP8, *OPUS, "-live", "1")),
    "avi": ("a.avi", (*MPEG4, "-c:a", "mp3")),
    "ts": ("a.ts", (*H264, *AAC)),
    "m2ts": ("a.m2ts", (*H264, "-c:a", "ac3")),
    "flv": ("a.flv", ("-c:v", "flv", *AAC)),
    "ogg": ("a.ogv", ("-c:v", "libtheora", "-c:a", "libvorbis")),
    "asf": ("a.wmv", ("-c:v", "wmv2", "-c:a", "wmav2")),
    "ps": ("a.mpg", PS),
    "mxf": ("a.mxf", ("-c:v", "mpeg2video", "-g", "8", "-c:a", "pcm_s16le")),
}
"""By name: file name and codecs of a small undamaged file. The names are part of the random seeds."""


def make_seed(kind: str, folder: Path) -> Path:
    """Write the undamaged file of a kind: one second of numbered frames with a tone."""
    name, codecs = SEEDS[kind]
    path = folder / name
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("25", "96x64"), "-f", "lavfi", "-i", "sine=440:r=48000:d=1"),
        *("-vf", "trim=end_frame=25", *codecs, str(path)),
    )
    return path


def _flip(content: bytearray, rng: random.Random) -> None:
    """Flip single bits anywhere."""
    for _ in range(rng.randint(1, 40)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _scribble(content: bytearray, rng: random.Random) -> None:
    """Overwrite four bytes in a few places with values that break lengths: 0, -1, minimum, maximum."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content))
        content[at : at + 4] = rng.choice((bytes(4), b"\xff" * 4, b"\x80\0\0\0", b"\x7f\xff\xff\xff"))


def _scribble_on_index(content: bytearray, rng: random.Random) -> None:
    """Damage the first or last 2 KiB, where containers keep their metadata, in one of these ways."""
    part_bytes = min(2048, len(content) // 2)
    start = rng.choice((0, len(content) - part_bytes))
    part = content[start : start + part_bytes]
    rng.choice((_flip, _scribble))(part, rng)
    content[start : start + part_bytes] = part[:part_bytes].ljust(part_bytes, b"\0")


def _cut_off(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(1, len(content)) :]


def _take_out(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    del content[at : at + rng.randint(1, 4096)]


def _double(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    block = content[at : at + rng.randint(1, 4096)]
    content[at:at] = block * rng.randint(1, 5)


def _blank(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    block = content[at : at + rng.randint(1, 4096)]
    content[at : at + len(block)] = bytes(len(block))


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _scribble, _scribble_on_index, _scribble_on_index),
    *(_cut_off, _take_out, _double, _blank),
)


def fuzzed(seed: bytes, kind: str, number: int) -> bytes:
    """Return the fuzzed file `number` of a kind: always the same one."""
    rng = random.Random(f"{kind}/{number}")
    content = bytearray(seed)
    rng.choice(_DAMAGES)(content, rng)
    return bytes(content)
