"""Transport and program streams: torn ones, other PIDs on the way, and cells of a DVD."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.media.kinds import claps
from tests.media.kinds.claps import clap, flashes
from tests.media.kinds.expected import Expected, Upload
from tests.media.torn_streams import in_packets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_TS_BYTES = 188


def _torn(
    name: str,
    change: Callable[[bytes], bytes],
    video: Sequence[str] = claps.H264,
    audio: Sequence[str] = claps.AAC,
    *,
    expected: Expected | None = None,
    options: Sequence[str] = (),
) -> Upload:
    def make(path: Path) -> None:
        clap(path, video, audio, extra=options)
        path.write_bytes(change(path.read_bytes()))

    return Upload(name, make, expected or Expected(within_s=0.06))


def _without(first: int) -> Callable[[bytes], bytes]:
    return lambda stream: stream[first:]


def _after(before: bytes) -> Callable[[bytes], bytes]:
    return lambda stream: before + stream


def _hole(stream: bytes) -> bytes:
    """Return a stream in which some packets of a second are missing, as after a moment of bad reception."""
    packets = len(stream) // _TS_BYTES
    first = packets * 5 // 8 * _TS_BYTES
    return stream[:first] + stream[first + 5 * _TS_BYTES :]


def _shifted(stream: bytes) -> bytes:
    """Return a stream of which 50 bytes in the middle are missing, so that the packets are off from there on."""
    middle = len(stream) // _TS_BYTES // 2 * _TS_BYTES
    return stream[: middle + 20] + stream[middle + 70 :]


def _second_half(stream: bytes) -> bytes:
    return stream[len(stream) // 2 // _TS_BYTES * _TS_BYTES + 30 :]


_LOOSE = Expected(flashes_s=None, beeps_s=None, duration_s=None, square=None)
_HALF = Expected(flashes_s=None, beeps_s=None, duration_s=None)

TORN = (
    _torn("hevc, 100 bytes missing.ts", _without(100), claps.HEVC),
    _torn("mpeg2, 187 bytes missing.ts", _without(187), claps.MPEG2, claps.MP2),
    _torn("opus, 1 byte missing.ts", _without(1), audio=claps.OPUS),
    _torn("after 2,000 bytes of 0xff.ts", _after(b"\xff" * 2000)),
    _torn(
        "packets of 192, 50 missing.m2ts",
        lambda stream: in_packets_of(192, stream)[50:],
        options=("-f", "mpegts", "-mpegts_m2ts_mode", "0"),
    ),
    _torn("packets of 204.trp.ts", partial(in_packets_of, 204), claps.MPEG2, claps.MP2),
    _torn("five packets lost.ts", _hole, expected=Expected(beeps_s=None, within_s=0.06)),
    _torn("fifty bytes lost.ts", _shifted, expected=Expected(beeps_s=None, within_s=0.06)),
    _torn("the last packet torn.ts", lambda stream: stream[:-100]),
    _torn("mpeg1, 20 bytes missing.mpg", _without(20), claps.MPEG1, claps.MP2),
    _torn("mpeg1, after zeros.mpg", _after(bytes(2048)), claps.MPEG1, claps.MP2),
    _torn("vcd, 20 bytes missing.mpg", _without(20), claps.MPEG1, claps.MP2, options=("-f", "vcd")),
    _torn("svcd, 20 bytes missing.mpg", _without(20), claps.MPEG2, claps.MP2, options=("-f", "svcd")),
    _torn("dvd, 20 bytes missing.vob", _without(20), claps.MPEG2, claps.AC3, options=("-f", "dvd")),
    _torn("dvd, 2,047 bytes missing.vob", _without(2047), claps.MPEG2, claps.AC3, options=("-f", "dvd")),
    _torn("mpeg2, 20 bytes missing.vob", _without(20), claps.MPEG2, claps.MP2),
    _torn("mpeg1 without a pack header.mpg", _without(12), claps.MPEG1, claps.MP2),
    _torn(
        "large packets, 20 bytes missing.mpg",
        _without(20),
        claps.MPEG1,
        claps.MP2,
        options=("-muxrate", "20000000", "-packetsize", "40000", "-loglevel", "fatal"),
        expected=_LOOSE,
    ),
    _torn("mpeg1, 100,000 bytes missing.mpg", _without(100_000), claps.MPEG1, claps.MP2, expected=_LOOSE),
    _torn("mpeg2, 3,000 bytes missing.mpg", _without(3000), claps.MPEG2, claps.MP2, expected=_LOOSE),
    _torn("the end torn.vob", lambda stream: stream[:-700], claps.MPEG2, claps.AC3),
)


def _in_a_row(
    name: str,
    parts: Sequence[tuple[Sequence[str], Sequence[str], float, Sequence[str]]],
    *,
    rate: str = "30",
    expected: Expected | None = None,
    finish: Callable[[int, bytes], bytes] = lambda _, content: content,
) -> Upload:
    """Join recordings of four seconds as plain files; each has codecs, a start of its clock and options."""

    def make(path: Path) -> None:
        contents = []
        for number, (video, audio, begin_s, options) in enumerate(parts):
            part = path.parent / f"{number}{path.suffix}"
            offset = ("-output_ts_offset", str(begin_s), *options)
            clap(part, video, audio, frames=flashes(rate=rate), extra=offset)
            contents.append(finish(number, part.read_bytes()))
        path.write_bytes(b"".join(contents))

    count = len(parts)
    times_s = tuple(4.0 * part + at for part in range(count) for at in (1, 2, 3))
    usual = Expected(
        duration_s=4.0 * count,
        flashes_s=times_s,
        beeps_s=times_s,
        rate=29.97 if "1001" in rate else float(rate),
        within_s=0.1,
    )
    return Upload(name, make, expected or usual)


def _pids(first: int, pmt: int = 0x1000) -> tuple[str, ...]:
    return ("-mpegts_start_pid", str(first), "-mpegts_pmt_start_pid", str(pmt))


_ES, _OTHER, _THIRD = _pids(0x100), _pids(0x200), _pids(0x300)


def _ts(
    name: str,
    *begins: tuple[float, Sequence[str]],
    video: Sequence[str] = claps.H264,
    audio: Sequence[str] = claps.AAC,
    expected: Expected | None = None,
) -> Upload:
    return _in_a_row(name, [(video, audio, begin_s, ids) for begin_s, ids in begins], expected=expected)


_FIRST_HALF = Expected(warnings=("PART_LEFT_OUT",), within_s=0.06)

CHANGING_PIDS = (
    _ts("one clock.ts", (0, _ES), (4.05, _OTHER)),
    _ts("clock starts over.ts", (0, _ES), (0, _OTHER)),
    _ts("hevc and ac3.ts", (0, _ES), (4.05, _OTHER), video=claps.HEVC, audio=claps.AC3),
    _ts("mpeg2 and mp2.ts", (0, _ES), (4.05, _OTHER), video=claps.MPEG2, audio=claps.MP2),
    _ts("three times.ts", (0, _ES), (4.05, _OTHER), (8.1, _THIRD)),
    _ts("and back.ts", (0, _ES), (4.05, _OTHER), (8.1, _ES)),
    _ts(
        "the table as well.ts",
        (0, _ES),
        (4.05, _pids(0x200, 0x1100)),
        expected=_FIRST_HALF,
    ),
    _ts("audio takes the video's.ts", (0, _ES), (4.05, _pids(0x101)), expected=_FIRST_HALF),
    _ts("video takes the audio's.ts", (0, _pids(0x101)), (4.05, _ES), expected=_FIRST_HALF),
    _in_a_row(
        "packets of 192.m2ts",
        [
            (claps.H264, claps.AC3, at, (*ids, "-f", "mpegts", "-mpegts_m2ts_mode", "1"))
            for at, ids in ((0, _ES), (4.05, _OTHER))
        ],
    ),
    _in_a_row(
        "the audio alone.ts",
        [
            (claps.H264, claps.AAC, at, (*ids, *more))
            for at, ids, more in ((0, _ES, ()), (4.05, _ES, ("-streamid", "1:600")))
        ],
    ),
    _in_a_row(
        "the video alone.ts",
        [
            (claps.H264, claps.AAC, at, (*ids, *more))
            for at, ids, more in ((0, _ES, ()), (4.05, _ES, ("-streamid", "0:600")))
        ],
    ),
)

_VOB = ("-f", "vob", "-loglevel", "fatal")
_HELD_VOB = Expected(None, flashes_s=(1, 2, 3), beeps_s=None, warnings=("PART_LEFT_OUT",), within_s=0.1)
_LEFT_OUT = Expected(warnings=("PART_LEFT_OUT",), within_s=0.06)
_SILENT_END = Expected(
    8, flashes_s=(1, 2, 3, 5, 6, 7), beeps_s=(1, 2, 3), warnings=("PART_LEFT_OUT",), within_s=0.1, rate=30
)
_HELD_END = Expected(
    8, flashes_s=(1, 2, 3), beeps_s=(1, 2, 3, 5, 6, 7), warnings=("PART_LEFT_OUT",), within_s=0.1, rate=30
)


def _kinds(
    name: str,
    *parts: tuple[Sequence[str], Sequence[str]],
    expected: Expected,
    options: Sequence[Sequence[str]] = (),
    begins_s: Sequence[float] = (0, 4.05, 8.1, 12.15),
) -> Upload:
    """Join recordings of which each has other codecs in the same streams."""
    ids = options or [_ES] * len(parts)
    rows = [(video, audio, at, more) for (video, audio), at, more in zip(parts, begins_s, ids, strict=False)]
    return _in_a_row(name, rows, expected=expected)


_USUAL = (claps.H264, claps.AAC)
CHANGING_KINDS = (
    _kinds("h264, then hevc.ts", _USUAL, (claps.HEVC, claps.AAC), expected=_HELD_END),
    _kinds("hevc, then h264.ts", (claps.HEVC, claps.AAC), _USUAL, expected=_HELD_END),
    _kinds("mpeg2, then h264.ts", (claps.MPEG2, claps.AAC), _USUAL, expected=_HELD_END),
    _kinds(
        "mpeg2 for a while.ts",
        _USUAL,
        (claps.MPEG2, claps.AAC),
        _USUAL,
        expected=Expected(
            12,
            flashes_s=(1, 2, 3, 9, 10, 11),
            beeps_s=(1, 2, 3, 5, 6, 7, 9, 10, 11),
            warnings=("PART_LEFT_OUT",),
            within_s=0.15,
        ),
    ),
    _kinds("aac, then ac3.ts", _USUAL, (claps.H264, claps.AC3), expected=_SILENT_END),
    _kinds("mp2, then aac.ts", (claps.H264, claps.MP2), _USUAL, expected=_SILENT_END),
    _kinds("both change.ts", _USUAL, (claps.HEVC, claps.AC3), expected=_LEFT_OUT),
    _kinds("both change with the clock.ts", _USUAL, (claps.HEVC, claps.AC3), expected=_LEFT_OUT, begins_s=(0, 0)),
    _kinds(
        "others under other identifiers.ts", _USUAL, (claps.HEVC, claps.AC3), expected=_LEFT_OUT, options=(_ES, _OTHER)
    ),
    _kinds(
        "video and audio change places.ts",
        _USUAL,
        _USUAL,
        expected=_LEFT_OUT,
        options=(_ES, ("-streamid", "0:257", "-streamid", "1:256")),
    ),
    _kinds(
        "in packets of 192.m2ts",
        (claps.H264, claps.AC3),
        (claps.HEVC, claps.AC3),
        expected=_HELD_END,
        options=[("-f", "mpegts", "-mpegts_m2ts_mode", "1")] * 2,
    ),
    _kinds(
        "mpeg2, then h264.vob",
        (claps.MPEG2, claps.AC3),
        (claps.H264, claps.AC3),
        expected=_HELD_VOB,
        options=[_VOB] * 2,
    ),
)

_LPCM = ("-c:a", "pcm_dvd", "-ar", "48000", "-ac", "2")
_DVD = ("-f", "dvd", "-loglevel", "fatal")
"""The muxer calls each jump of the clock an error."""

_VOB = ("-f", "vob", "-loglevel", "fatal")
"""Unlike the one above, this muxer starts a clock at the given time (measured: 95,441 s became 94,490 s)."""


def _cells(
    name: str,
    begins_s: Sequence[float],
    audio: Sequence[str] = claps.AC3,
    *,
    rate: str = "25",
    video: Sequence[str] = claps.MPEG2,
    options: Sequence[str] = _DVD,
) -> Upload:
    return _in_a_row(name, [(video, audio, begin_s, options) for begin_s in begins_s], rate=rate)


CELLS = (
    _cells("two.vob", (0, 0)),
    _cells("four.vob", (0, 0, 0, 0)),
    _cells("mp2.vob", (0, 0), claps.MP2),
    _cells("lpcm.vob", (0, 0), _LPCM),
    _cells("ntsc.vob", (0, 0, 0), rate="30000/1001"),
    _cells("an earlier clock.vob", (600, 20)),
    _cells("a clock hours later.vob", (0, 30_000)),
    _cells("a clock that wraps around.vob", (95_441, 95_441), options=_VOB),
    _cells("svcd.mpg", (0, 0), claps.MP2, options=("-f", "svcd")),
    _cells("vcd.mpg", (0, 0), claps.MP2, video=claps.MPEG1, options=("-f", "mpeg")),
    _cells("concatenated.ts", (0, 0, 0), claps.AC3, options=()),
    _cells("h264.ts", (0, 0), claps.AAC, video=claps.H264_B, options=()),
)
