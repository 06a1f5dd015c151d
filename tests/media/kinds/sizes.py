"""Frames that change their size or shape, that are cropped, and that have several parameter sets."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg
from tests.media.kinds import claps
from tests.media.kinds.boxes import grow_box
from tests.media.kinds.claps import beeps, copied, flashes
from tests.media.kinds.descriptions import add_description
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Piece = tuple[tuple[int, int], float]
"""Size in pixels and length in seconds."""

GROWS: tuple[Piece, ...] = (((160, 90), 2), ((240, 136), 2), ((320, 180), 6))
TURNS: tuple[Piece, ...] = (((180, 320), 2), ((320, 180), 4))

_FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
_IN_BAND = frozenset({"libx264", "libx265", "mpeg2video", "mpeg4"})
"""Encoders whose parameter sets are kept between the frames by a transport stream."""


def joined(path: Path, pieces: Sequence[Piece], video: Sequence[str], audio: Sequence[str] = (), *options: str) -> None:
    """Write pieces of several sizes into one track without encoding them again; each claps from its second 1 on."""
    ending = "ts" if video[1] in _IN_BAND else "mkv"
    names = []
    for number, (size, seconds) in enumerate(pieces):
        name = path.parent / f"piece-{number}.{ending}"
        ffmpeg("-f", "lavfi", "-i", flashes(seconds, size=size), *video, str(name))
        names.append(name)
    listed = path.parent / "pieces"
    listed.write_text("".join(f"file '{name}'\n" for name in names))
    tones = beeps(sum(seconds for _, seconds in pieces))
    tone_input = ("-f", "lavfi", "-i", tones, "-map", "0:v", "-map", "1:a") if audio else ()
    ffmpeg("-f", "concat", "-safe", "0", "-i", str(listed), *tone_input, "-c:v", "copy", *audio, *options, str(path))


def _claps_of(pieces: Sequence[Piece]) -> tuple[float, ...]:
    starts = [sum(seconds for _, seconds in pieces[:at]) for at in range(len(pieces))]
    return tuple(
        start + at for start, (_, seconds) in zip(starts, pieces, strict=True) for at in range(1, int(seconds))
    )


def _grown(name: str, video: Sequence[str], audio: Sequence[str], *options: str) -> Upload:
    seconds = sum(seconds for _, seconds in GROWS)
    expected = Expected(
        duration_s=seconds,
        flashes_s=_claps_of(GROWS),
        beeps_s=tuple(range(1, int(seconds))),
        warnings=("SIZE_CHANGES",),
        direct=False,
        within_s=0.07,
    )
    return Upload(name, lambda path: joined(path, GROWS, video, audio, *options), expected)


def _turned(name: str, video: Sequence[str], audio: Sequence[str], *options: str, pieces: Sequence[Piece]) -> Upload:
    seconds = sum(seconds for _, seconds in pieces)
    large, _ = max(pieces, key=lambda piece: piece[1])
    times_s = _claps_of(pieces)
    squares, bars = [], []
    for (width, height), length_s in pieces:
        scale = min(large[0] / width, large[1] / height)
        side = round(min(width, height) / 2 * scale)
        squares += [(side, side)] * (int(length_s) - 1)
        bars += [(large[0] - round(width * scale), large[1] - round(height * scale))] * (int(length_s) - 1)
    expected = Expected(
        duration_s=seconds,
        size=large,
        flashes_s=times_s,
        beeps_s=tuple(range(1, int(seconds))),
        squares=tuple(squares),
        bars=tuple(bars),
        warnings=("SIZE_CHANGES",),
        direct=False,
        within_s=0.07,
    )
    return Upload(name, lambda path: joined(path, pieces, video, audio, *options), expected)


_BACK: tuple[Piece, ...] = (((320, 180), 2), ((180, 320), 5), ((320, 180), 2))
_NARROWS: tuple[Piece, ...] = (((320, 180), 4), ((240, 180), 2))

GROWING = (
    _grown("vp8.mkv", claps.VP8, claps.OPUS),
    _grown("vp8.ogv", claps.VP8, claps.OPUS),
    _grown("vp9.mp4", claps.VP9, claps.OPUS),
    _grown("av1.mkv", claps.AV1, claps.OPUS),
    _grown("h264.mov", claps.H264, claps.AAC),
    _grown("h264.3gp", claps.H264, claps.AAC),
    _grown("h264-fragments.mp4", claps.H264, claps.AAC, *_FRAGMENTS),
    _grown("h264.m2ts", claps.H264, claps.AC3, "-f", "mpegts", "-mpegts_m2ts_mode", "1"),
    _grown("hevc.mov", claps.HEVC, claps.PCM, "-tag:v", "hev1"),
    _grown("mpeg4.ts", claps.MPEG4, claps.MP2),
    _grown("mpeg2.mkv", claps.MPEG2, claps.MP2),
    _grown("mjpeg.mov", claps.MJPEG, claps.PCM),
    _grown("mjpeg.avi", claps.MJPEG, claps.PCM),
)
TURNING = (
    _turned("vp8.webm", claps.VP8, claps.VORBIS, pieces=TURNS),
    _turned("vp9.webm", claps.VP9, claps.OPUS, pieces=_BACK),
    _turned("av1.mp4", claps.AV1, claps.OPUS, pieces=TURNS),
    _turned("av1.mkv", claps.AV1, claps.OPUS, pieces=_BACK),
    _turned("h264.mkv", claps.H264, claps.AAC, pieces=TURNS),
    _turned("h264.flv", claps.H264, claps.AAC, pieces=_BACK),
    _turned("h264.ts", claps.H264, claps.AAC, pieces=_NARROWS),
    _turned("hevc.ts", claps.HEVC, claps.AC3, pieces=TURNS),
    _turned("hevc.mp4", claps.HEVC, claps.AAC, "-tag:v", "hev1", pieces=_BACK),
    _turned("mpeg2.vob", claps.MPEG2, claps.AC3, pieces=_NARROWS),
    _turned("mjpeg.mkv", claps.MJPEG, claps.PCM, pieces=TURNS),
    _turned("mjpeg.avi", claps.MJPEG, claps.MP3, pieces=_BACK),
)


def _described(name: str, tag: str, pieces: Sequence[Piece]) -> Upload:
    """Join two pieces, each with a sample description of its own and no parameter sets between the frames."""
    video, units = (claps.HEVC, "32-34") if tag.startswith("h") else (claps.H264, "7-8")

    def make(path: Path) -> None:
        without = ("-bsf:v", f"filter_units=remove_types={units}")
        joined(path, pieces, video, claps.AAC, "-tag:v", tag, *without)
        other = copied(path.parent / "piece-1.ts", path.parent / "other.mov", "-tag:v", tag)
        add_description(path, other, round(pieces[0][1] * 30))

    return Upload(name, make, _turned(name, video, claps.AAC, pieces=pieces).expected)


_ENLARGED: tuple[Piece, ...] = (((160, 90), 2), ((320, 180), 4))
_REDUCED: tuple[Piece, ...] = (((320, 180), 2), ((160, 90), 4))
DESCRIPTIONS = (
    _described("hvc1, enlarged.mov", "hvc1", _ENLARGED),
    _described("hvc1, reduced.mp4", "hvc1", _REDUCED),
    _described("hvc1, turned.mp4", "hvc1", TURNS),
    _described("hvc1, narrowed.mov", "hvc1", _NARROWS),
    _described("hev1, enlarged.mp4", "hev1", _ENLARGED),
    _described("hev1, turned.mov", "hev1", TURNS),
    _described("avc1, enlarged.mov", "avc1", _ENLARGED),
    _described("avc1, reduced.mp4", "avc1", _REDUCED),
    _described("avc1, turned.mp4", "avc1", TURNS),
    _described("avc1, narrowed.mov", "avc1", _NARROWS),
)


def _clean_aperture(path: Path, width: int, height: int, *, down_px: int = 0, entry: bytes = b"avc1") -> None:
    """Crop an MP4 to the middle of the frame (CleanApertureBox, ISO/IEC 14496-12, 12.1.4), `down_px` below its own."""
    clap = struct.pack(">I4s8I", 40, b"clap", width, 1, height, 1, 0, 1, down_px, 1)
    grow_box(path, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry), clap)


def _cropped(
    name: str,
    video: Sequence[str],
    crop: tuple[int, int],
    *,
    entry: bytes = b"avc1",
    inputs: Sequence[str] = (),
    options: Sequence[str] = (),
    filters: str = "null",
    size: tuple[int, int] | None = None,
    square: tuple[int, int] = (90, 90),
) -> Upload:
    def make(path: Path) -> None:
        whole = path.parent / ("whole.mov" if path.suffix == ".mov" else "whole.mp4")
        claps.clap(whole, video, filters=filters)
        _clean_aperture(whole, *crop, entry=entry)
        copied(whole, path, *options, inputs=inputs)

    return Upload(name, make, Expected(size=size or crop, square=square))


def _conformance(name: str, video: Sequence[str], crop: str, size: tuple[int, int]) -> Upload:
    """Crop by the codec's own parameter sets, which every decoder applies."""

    def make(path: Path) -> None:
        whole = claps.clap(path.parent / "whole.mkv", video)
        copied(whole, path, "-bsf:v", crop)

    return Upload(name, make, Expected(size=size))


CROPPING = (
    _cropped("aperture.mkv", claps.H264, (320, 140)),
    _cropped("aperture.mov", claps.H264, (240, 180)),
    _cropped("b-frames.mkv", claps.H264_B, (240, 140)),
    _cropped("hevc.mkv", claps.HEVC, (320, 120), entry=b"hev1"),
    _cropped("av1.mkv", claps.AV1, (280, 140), entry=b"av01"),
    _cropped("mpeg4.mkv", claps.MPEG4, (280, 180), entry=b"mp4v"),
    _cropped("prores.mov", claps.PRORES, (300, 160), entry=b"apco"),
    _cropped("turned.mkv", claps.H264, (240, 140), inputs=("-display_rotation", "90"), size=(140, 240)),
    # Pixels of 9:7, which would bring 320 x 180 to 320:140.
    _cropped(
        "wide pixels.mkv",
        claps.H264,
        (240, 140),
        filters="setsar=4/3",
        options=("-aspect", "320:140"),
        size=(308, 140),
        square=(116, 90),
    ),
    _conformance(
        "h264 own.mp4", claps.H264, "h264_metadata=crop_left=40:crop_right=40:crop_top=20:crop_bottom=20", (240, 152)
    ),
    _conformance("h264 own.ts", claps.H264, "h264_metadata=crop_left=40:crop_right=40", (240, 180)),
    _conformance("hevc own.mkv", claps.HEVC, "hevc_metadata=crop_top=30:crop_bottom=30", (320, 132)),
)


def _two_sets(
    name: str, second: Sequence[str], *options: str, audio: Sequence[str] = claps.AAC, direct: bool = False
) -> Upload:
    """Join two recordings of one size, the second one with another profile or level."""

    def make(path: Path) -> None:
        listed = path.parent / "pieces"
        codecs = (claps.H264, (*claps.H264, *second))
        for number, codec in enumerate(codecs):
            claps.clap(path.parent / f"{number}.ts", codec, ())
        listed.write_text("file '0.ts'\nfile '1.ts'\n")
        tone_input = ("-f", "lavfi", "-i", beeps(8), "-map", "0:v", "-map", "1:a")
        ffmpeg("-f", "concat", "-i", str(listed), *tone_input, "-c:v", "copy", *audio, *options, str(path))

    times_s = (1, 2, 3, 5, 6, 7)
    expected = Expected(duration_s=8, flashes_s=times_s, beeps_s=tuple(range(1, 8)), direct=direct, within_s=0.07)
    return Upload(name, make, expected)


PARAMETER_SETS = (
    _two_sets("the same twice.mp4", (), direct=True),
    _two_sets("level.mp4", ("-level", "4")),
    _two_sets("profile.mp4", ("-preset", "medium", "-profile:v", "high")),
    _two_sets("references.mov", ("-refs", "4", "-preset", "fast")),
    _two_sets("entropy.mp4", ("-coder", "1", "-profile:v", "main")),
    _two_sets("b-frames.mp4", ("-bf", "2", "-profile:v", "main")),
    _two_sets("fragments.mp4", ("-level", "4"), *_FRAGMENTS),
    _two_sets("index first.mp4", ("-level", "4"), "-movflags", "+faststart"),
    _two_sets("in-band alone.mp4", ("-level", "4"), "-tag:v", "avc3"),
    _two_sets("level.mkv", ("-level", "4")),
    _two_sets("level.ts", ("-level", "4")),
    _two_sets("level.flv", ("-level", "4")),
)


def _at_rate(name: str, rate: str, expected: float, video: Sequence[str] = claps.H264, *options: str) -> Upload:
    make = partial(claps.clap, video=video, audio=(), frames=flashes(rate=rate), extra=options)
    return Upload(name, make, Expected(rate=expected, beeps_s=(), within_s=0.035))


_FINE = ("-video_track_timescale", "90000")
RATES = (
    _at_rate("60.06.mp4", "6006/100", 60, claps.H264, *_FINE),
    _at_rate("60.02.mov", "6002/100", 60, claps.H264, *_FINE),
    _at_rate("61.mkv", "61", 60),
    _at_rate("59.9.mp4", "599/10", 59.9, claps.H264, *_FINE),
    _at_rate("58.mp4", "58", 58),
    _at_rate("59.94.webm", "60000/1001", 59.94, claps.VP8),
    _at_rate("60.ts", "60", 60),
    _at_rate("60 with reordered frames.ts", "60", 60, claps.H264_B),
    _at_rate("120.05.mp4", "12005/100", 60, claps.H264, *_FINE),
    _at_rate("119.88.mov", "120000/1001", 59.94, claps.HEVC),
    _at_rate("240.mp4", "240", 60),
    _at_rate("144.mp4", "144", 48),
    _at_rate("90.mkv", "90", 45),
    _at_rate("75.mp4", "75", 37.5),
    _at_rate("72.avi", "72", 36, claps.MPEG4),
    _at_rate("100.flv", "100", 50),
)
