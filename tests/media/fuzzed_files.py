"""Damages small files of every container in a thousand ways, each of which a number brings back."""

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
"""By name: file name and codecs of a small whole file."""


def make_seed(kind: str, folder: Path) -> Path:
    """Write the whole file that a kind's mutants come from: a second of numbered pictures with a tone."""
    name, codecs = SEEDS[kind]
    path = folder / name
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("25", "96x64"), "-f", "lavfi", "-i", "sine=440:r=48000:d=1"),
        *("-vf", "trim=end_frame=25", *codecs, str(path)),
    )
    return path


def _flip(content: bytearray, dice: random.Random) -> None:
    """Change single bits anywhere."""
    for _ in range(dice.randint(1, 40)):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def _scribble(content: bytearray, dice: random.Random) -> None:
    """Overwrite bytes near one place with those that break lengths: all zeros, all ones, the sign alone."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(content))
        content[at : at + 4] = dice.choice((bytes(4), b"\xff" * 4, b"\x80\0\0\0", b"\x7f\xff\xff\xff"))


def _scribble_on_index(content: bytearray, dice: random.Random) -> None:
    """Do the same to the first or last 2 KiB, where containers keep what they say of themselves."""
    part_bytes = min(2048, len(content) // 2)
    start = dice.choice((0, len(content) - part_bytes))
    part = content[start : start + part_bytes]
    dice.choice((_flip, _scribble))(part, dice)
    content[start : start + part_bytes] = part[:part_bytes].ljust(part_bytes, b"\0")


def _cut_off(content: bytearray, dice: random.Random) -> None:
    del content[dice.randrange(1, len(content)) :]


def _take_out(content: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(content))
    del content[at : at + dice.randint(1, 4096)]


def _double(content: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(content))
    block = content[at : at + dice.randint(1, 4096)]
    content[at:at] = block * dice.randint(1, 5)


def _blank(content: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(content))
    block = content[at : at + dice.randint(1, 4096)]
    content[at : at + len(block)] = bytes(len(block))


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _scribble, _scribble_on_index, _scribble_on_index),
    *(_cut_off, _take_out, _double, _blank),
)


def mutant_of(seed: bytes, kind: str, number: int) -> bytes:
    """Return the mutant `number` of a kind's whole file: always the same one."""
    dice = random.Random(f"{kind}/{number}")
    content = bytearray(seed)
    dice.choice(_DAMAGES)(content, dice)
    return bytes(content)
