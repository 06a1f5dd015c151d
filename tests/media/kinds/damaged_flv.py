"""Damaged FLV files: cut, with flipped bytes, lost tags and wrong times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.media.kinds import claps
from tests.media.kinds.claps import beeps, clap
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_FLV_AUDIO, _FLV_VIDEO, _FLV_SCRIPT = 8, 9, 18
_FLV_TAG_HEADER_BYTES = 11
_HALF_A_DAY_MS = 12 * 3_600_000


def flv_tags(content: bytes) -> list[tuple[int, int]]:
    """Return type and offset of each tag (Adobe Flash Video File Format Specification 10.1, annex E)."""
    tags, at = [], int.from_bytes(content[5:9], "big") + 4
    while at + _FLV_TAG_HEADER_BYTES <= len(content):
        tags.append((content[at], at))
        at += _FLV_TAG_HEADER_BYTES + int.from_bytes(content[at + 1 : at + 4], "big") + 4
    return tags


def _retimed(content: bytes, change: Callable[[int, int, int], int]) -> bytes:
    """Change the times in milliseconds: a function of type, number among that type, and time."""
    file = bytearray(content)
    counts = {_FLV_AUDIO: 0, _FLV_VIDEO: 0, _FLV_SCRIPT: 0}
    for kind, at in flv_tags(content):
        time_ms = int.from_bytes(bytes([file[at + 7]]) + file[at + 4 : at + 7], "big")
        changed = change(kind, counts[kind], time_ms).to_bytes(4, "big")
        file[at + 4 : at + 8] = changed[1:] + changed[:1]
        counts[kind] += 1
    return bytes(file)


def _dropped(content: bytes, drop: Callable[[int, int], bool]) -> bytes:
    """Leave out tags: a function of type and number among that type."""
    kept, counts = [content[:13]], {_FLV_AUDIO: 0, _FLV_VIDEO: 0, _FLV_SCRIPT: 0}
    for kind, at in flv_tags(content):
        size = _FLV_TAG_HEADER_BYTES + int.from_bytes(content[at + 1 : at + 4], "big") + 4
        if not drop(kind, counts[kind]):
            kept.append(content[at : at + size])
        counts[kind] += 1
    return b"".join(kept)


def _drop(drop: Callable[[int, int], bool]) -> Callable[[bytes], bytes]:
    return partial(_dropped, drop=drop)


def _retime(change: Callable[[int, int, int], int]) -> Callable[[bytes], bytes]:
    return partial(_retimed, change=change)


def _late(kind: int, number: int, time_ms: int) -> int:
    """Return the time of a tag, half a day late for the last second of the audio."""
    return time_ms + (_HALF_A_DAY_MS if kind == _FLV_AUDIO and number > 150 else 0)  # of 173


def _flipped(content: bytes) -> bytes:
    """Flip a byte in the middle of every tenth video tag, but not of those with the parameter sets or key frames."""
    file = bytearray(content)
    videos = [at for kind, at in flv_tags(content) if kind == _FLV_VIDEO]
    for at in videos[5::10]:
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        file[at + _FLV_TAG_HEADER_BYTES + size // 2] ^= 0xFF
    return bytes(file)


def _flv(
    name: str,
    change: Callable[[bytes], bytes],
    expected: Expected,
    video: Sequence[str] = claps.H264,
    audio: Sequence[str] = claps.AAC,
) -> Upload:
    def make(path: Path) -> None:
        clap(path, video, audio, tones=beeps(rate_hz=44_100))
        path.write_bytes(change(path.read_bytes()))

    return Upload(name, make, expected)


def _with_wrong_sizes(content: bytes) -> bytes:
    """Set the size that follows each tag to 0, as some recorders leave it."""
    file = bytearray(content)
    for _, at in flv_tags(content):
        end = at + _FLV_TAG_HEADER_BYTES + int.from_bytes(content[at + 1 : at + 4], "big")
        file[end : end + 4] = bytes(4)
    return bytes(file)


DAMAGED = (
    _flv(
        "cut.flv",
        lambda content: content[: len(content) * 3 // 4],
        Expected(None, flashes_s=(1, 2), beeps_s=(1, 2)),
    ),
    _flv("cut in the last tag.flv", lambda content: content[:-30], Expected(within_s=0.06)),
    _flv("flipped bytes.flv", _flipped, Expected(flashes_s=None, square=None)),
    _flv("no metadata.flv", _drop(lambda kind, _: kind == _FLV_SCRIPT), Expected()),
    _flv(
        "no key frame first.flv",
        _drop(lambda kind, number: kind == _FLV_VIDEO and 1 <= number <= 10),
        Expected(None, flashes_s=None, beeps_s=None),
    ),
    _flv(
        "frames missing.flv",
        _drop(lambda kind, number: kind == _FLV_VIDEO and 35 <= number <= 50),
        Expected(flashes_s=None),
    ),
    _flv(
        "audio missing for 1.5 s.flv",
        _drop(lambda kind, number: kind == _FLV_AUDIO and 60 <= number <= 125),
        Expected(beeps_s=(1, 3)),
    ),
    _flv("at the time of day.flv", _retime(lambda _, __, time_ms: time_ms + _HALF_A_DAY_MS), Expected()),
    _flv(
        "beyond 31 bits.flv",
        _retime(lambda kind, _, time_ms: time_ms + (2**31 if kind != _FLV_SCRIPT else 0)),
        Expected(),
    ),
    _flv("audio far after the end.flv", _retime(_late), Expected(warnings=("AUDIO_CUT",))),
    _flv("wrong sizes before tags.flv", _with_wrong_sizes, Expected(rejected="DAMAGED")),
    _flv(
        "sorenson and mp3.flv",
        lambda content: content[:-30],
        Expected(within_s=0.1),
        claps.FLV1,
        ("-c:a", "libmp3lame", "-ar", "44100"),
    ),
)
