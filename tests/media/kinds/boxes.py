"""MP4 files with edit lists, and with fragments that begin at other times."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.media.kinds import claps
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_VIDEO, _AUDIO = 0, 1
Edit = tuple[float, float] | tuple[float, float, float]
"""From which second of the media (-1 for none), for how many seconds, and at which speed."""


def grow_box(path: Path, names: Sequence[bytes], content: bytes, *, track: int = 0) -> None:
    """Append bytes to the innermost of nested boxes, in the given track; the index is at the end of the file."""
    file = bytearray(path.read_bytes())
    at, places = 0, []
    for name in names:
        for _ in range(track + 1 if name == b"trak" else 1):
            at = file.index(name, at + 1)
        places.append(at - 4)
    innermost = places[-1]
    (size,) = struct.unpack_from(">I", file, innermost)
    file[innermost + size : innermost + size] = content
    for place in places:
        (size,) = struct.unpack_from(">I", file, place)
        struct.pack_into(">I", file, place, size + len(content))
    path.write_bytes(file)


def _scale(file: bytes | bytearray, name: bytes, at: int) -> int:
    """Return the timescale in the next header (mvhd or mdhd of version 0)."""
    (scale,) = struct.unpack_from(">I", file, file.index(name, at) + 16)
    return int(scale)


def edit(path: Path, track: int, edits: Sequence[Edit]) -> None:
    """Replace a track's edit list (ISO/IEC 14496-12, 8.6.6)."""
    file = bytearray(path.read_bytes())
    at = movie = file.index(b"moov")
    for _ in range(track + 1):
        at = file.index(b"trak", at + 1)
    scale, movie_scale = _scale(file, b"mdhd", at), _scale(file, b"mvhd", movie)
    end = file.find(b"trak", at + 1)
    edits_at = file.find(b"edts", at, end if end > 0 else None)
    if edits_at > 0:
        file[edits_at : edits_at + 4] = b"free"
    path.write_bytes(file)
    rows = b"".join(
        struct.pack(
            ">IiHH",
            round(row[1] * movie_scale),
            -1 if row[0] < 0 else round(row[0] * scale),
            *divmod(round((row[2] if len(row) > 2 else 1) * 0x10000), 0x10000),  # with a speed
        )
        for row in edits
    )
    elst = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
    grow_box(path, (b"moov", b"trak"), struct.pack(">I4s", 8 + len(elst), b"edts") + elst, track=track)


def _edited(
    name: str,
    edits: Sequence[Edit],
    expected: Expected,
    *,
    audio_edits: Sequence[Edit] | None = None,
    video: Sequence[str] = claps.H264,
    audio: Sequence[str] = claps.PCM,
) -> Upload:
    def make(path: Path) -> None:
        claps.clap(path, video, audio)
        edit(path, _VIDEO, edits)
        if audio:
            edit(path, _AUDIO, edits if audio_edits is None else audio_edits)

    return Upload(name, make, expected)


EDITS = (
    _edited("the first second cut.mov", [(1, 3)], Expected(3, flashes_s=(0, 1, 2), beeps_s=(0, 1, 2))),
    _edited("cut inside a GOP.mov", [(1.5, 2.5)], Expected(2.5, flashes_s=(0.5, 1.5), beeps_s=(0.5, 1.5))),
    _edited(
        "cut inside a GOP with reordered frames.mov",
        [(1.5, 2.5)],
        Expected(2.5, flashes_s=(0.5, 1.5), beeps_s=(0.5, 1.5), within_s=0.08),
        video=claps.H264_B,
    ),
    _edited("the end cut.mov", [(0, 2.5)], Expected(2.5, flashes_s=(1, 2), beeps_s=(1, 2))),
    _edited(
        "two parts swapped.mov",
        [(1.5, 2.5), (0, 1.5)],
        Expected(4, flashes_s=(0.5, 1.5, 3.5), beeps_s=(0.5, 1.5, 3.5)),
    ),
    _edited(
        "a part repeated.mov",
        [(0, 1.5), (0, 1.5), (1.5, 2.5)],
        Expected(5.5, flashes_s=(1, 2.5, 3.5, 4.5), beeps_s=(1, 2.5, 3.5, 4.5)),
    ),
    _edited(
        "both begin late.mov",
        [(-1, 1.5), (0, 4)],
        Expected(4, within_s=0.06),
    ),
    _edited(
        "the video begins late.mov",
        [(-1, 2), (0, 4)],
        Expected(6, flashes_s=(3, 4, 5), beeps_s=(1, 2, 3)),
        audio_edits=[(0, 4)],
    ),
    _edited(
        "the audio begins late.mov",
        [(0, 4)],
        Expected(4, flashes_s=(1, 2, 3), beeps_s=(2.25, 3.25)),
        audio_edits=[(-1, 1.25), (0, 2.75)],
    ),
    _edited(
        "the audio cut.mp4",
        [(0, 4)],
        Expected(4, flashes_s=(1, 2, 3), beeps_s=(0.5, 1.5, 2.5)),
        audio_edits=[(0.5, 3.5)],
        audio=claps.AAC,
    ),
    _edited("no audio, cut.mp4", [(1, 3)], Expected(3, flashes_s=(0, 1, 2), beeps_s=()), audio=()),
    _edited(
        "hevc, cut.mov",
        [(1, 3)],
        Expected(3, flashes_s=(0, 1, 2), beeps_s=(0, 1, 2)),
        video=(*claps.HEVC, "-tag:v", "hvc1"),
    ),
    _edited(
        "prores, cut.mov",
        [(0.5, 3.5)],
        Expected(3.5, flashes_s=(0.5, 1.5, 2.5), beeps_s=(0.5, 1.5, 2.5)),
        video=claps.PRORES,
    ),
)


def _shift_fragments(path: Path, by_s: Sequence[float]) -> None:
    """Add seconds to the decode times (tfdt) of all fragments of each track."""
    file = bytearray(path.read_bytes())
    scales = []
    at = file.index(b"moov")
    for _ in by_s:
        at = file.index(b"mdhd", at + 1)
        scales.append(_scale(file, b"mdhd", at))
    at = file.find(b"tfhd")
    while at >= 0:
        (track,) = struct.unpack_from(">I", file, at + 8)
        time = file.index(b"tfdt", at) + 4
        size = 8 if file[time] else 4
        ticks = int.from_bytes(file[time + 4 : time + 4 + size], "big") + round(by_s[track - 1] * scales[track - 1])
        file[time + 4 : time + 4 + size] = (ticks % 2 ** (8 * size)).to_bytes(size, "big")
        at = file.find(b"tfhd", time)
    path.write_bytes(file)


_HEAD = "+empty_moov+default_base_moof+frag_discont"


def _fragmented(
    name: str,
    by_s: Sequence[float],
    flags: str = f"+frag_keyframe{_HEAD}",
    *options: str,
    expected: Expected | None = None,
    video: Sequence[str] = claps.H264,
    audio: Sequence[str] = claps.AAC,
) -> Upload:
    def make(path: Path) -> None:
        claps.clap(path, video, audio, extra=("-movflags", flags, *options))
        _shift_fragments(path, by_s)

    # Without an edit list, the encoder's delay of 1,024 samples delays the audio.
    return Upload(name, make, expected or Expected(within_s=0.07, beeps_s=None if not audio else (1.02, 2.02, 3.02)))


FRAGMENTS = (
    _fragmented("at 0.mp4", (0, 0)),
    _fragmented("at 7 s.mp4", (7, 7)),
    _fragmented("at the time of day.mov", (1_800_000_000, 1_800_000_000)),
    _fragmented(
        "of each frame.mp4",
        (5,),
        f"+frag_every_frame{_HEAD}",
        expected=Expected(beeps_s=(), within_s=0.07),
        audio=(),
    ),
    _fragmented("of 300 ms.mp4", (100, 100), _HEAD, "-frag_duration", "300000"),
    _fragmented("of each track.mp4", (50, 50), f"+frag_keyframe+separate_moof{_HEAD}"),
    _fragmented("with a moov that has samples.mp4", (0, 0), "+frag_keyframe"),
    _fragmented("cmaf.mp4", (9, 9), "+cmaf+frag_discont+frag_keyframe"),
    _fragmented("with an index.mp4", (12, 12), f"+dash+global_sidx+frag_keyframe{_HEAD}"),
    _fragmented("hevc.mp4", (33, 33), video=(*claps.HEVC, "-tag:v", "hvc1")),
    _fragmented("vp9 and opus.mp4", (33, 33), video=claps.VP9, audio=claps.OPUS),
    _fragmented(
        "video 2 s late.mp4",
        (2, 0),
        expected=Expected(6, flashes_s=(3, 4, 5), beeps_s=(1.02, 2.02, 3.02), within_s=0.07),
    ),
    _fragmented(
        "audio 1 s late.mp4",
        (3, 4),
        expected=Expected(5, flashes_s=(1, 2, 3), beeps_s=(2.02, 3.02, 4.02), within_s=0.07),
    ),
)
