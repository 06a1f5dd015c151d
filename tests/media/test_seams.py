"""A run in units shows exactly the pictures of a run in one piece, whatever the source and wherever its key frames lie."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import ProfileRung
from tests.media.clips import ffmpeg, numbers_filter
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

PICTURES = 165
SIZE = "160x96"  # interlaced 4:2:0 needs a height that 4 divides

LOSSLESS = dataclasses.replace(SMALL, rungs=(ProfileRung(180, 0, 1_000_000_000),), preset="ultrafast")
"""Units of two seconds, and pictures that come out as they went in: a rate factor of 0 is lossless."""

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "40")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "15")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "40")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "400k", "-g", "40")
CODECS = {"mp4": H264, "mkv": H264, "webm": VP8, "ts": H264, "avi": MPEG4, "flv": H264, "mpg": MPEG2}
"""What each container usually carries, by the end of the file's name."""

FIELDS = ("-flags", "+ildct+ilme", "-field_order", "tt")
# Each row: filters on the numbered pictures, further arguments of the encoder, containers that can't carry it.
TRAITS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "steady": ("null", (), ""),
    # Every picture for 2 s, none for 1.5 s, then two out of three.
    "variable with gaps": ("select='lt(n,60)+gt(n,105)*mod(n,3)'", ("-fps_mode", "vfr"), "avi mpg"),
    # From picture 50 on, each lies half a frame later: where rounding could go either way.
    "half a frame late": ("setpts=PTS+gte(N\\,50)*0.5/FRAME_RATE/TB", ("-fps_mode", "passthrough"), "avi mpg"),
    "interlaced": ("interlace=scan=tff:lowpass=0,setfield=tff", FIELDS, "webm avi"),
    "open groups of 250": ("null", ("-g", "250"), ""),
}
QUICK = {
    ("steady", "avi"),
    ("steady", "webm"),
    ("variable with gaps", "mkv"),
    ("half a frame late", "flv"),
    ("interlaced", "ts"),
    ("open groups of 250", "mp4"),
    ("open groups of 250", "mpg"),
}
"""Each trait and each container once or twice; the rest takes long."""

CASES = [
    pytest.param(trait, ending, marks=() if (trait, ending) in QUICK else pytest.mark.long, id=f"{trait} {ending}")
    for trait, (_, _, cannot) in TRAITS.items()
    for ending in CODECS
    if ending not in cannot.split()
]


def _source(folder: Path, trait: str, ending: str) -> Path:
    filters, arguments, _ = TRAITS[trait]
    codec = (*CODECS[ending], *arguments)
    if "libx264" in codec and trait == "open groups of 250":
        codec = (*codec, "-x264-params", "open-gop=1:b-adapt=0")
    # Twice the pictures, for interlacing makes one of two.
    doubled = 2 if trait == "interlaced" else 1
    made = ("-f", "lavfi", "-i", numbers_filter(str(30 * doubled), SIZE))
    chosen = ("-vf", f"trim=end_frame={PICTURES * doubled},{filters}", *codec)
    path = folder / f"a.{ending}"
    if ending == "webm":
        # Into a pipe: without cues and without duration, as browsers record.
        path.write_bytes(ffmpeg(*made, *chosen, "-f", "webm", "-live", "1", "pipe:1"))
    elif ending == "mpg":
        ffmpeg(*made, *chosen, "-f", "vob", str(path))
    else:
        ffmpeg(*made, *chosen, str(path))
    return path


def _pictures(done: Transcoded) -> list[str]:
    """Return time and checksum of each picture shown."""
    told = ffmpeg("-copyts", "-i", str(done.joined(done.rungs[0])), "-fps_mode", "passthrough", "-f", "framemd5", "-")
    return [line for line in told.decode().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("trait", "ending"), CASES)
def test_units_show_the_pictures_of_one_piece_when_the_source_is(
    trait: str, ending: str, tmp_path: Path, transcode: Transcode
) -> None:
    source = _source(tmp_path, trait, ending)
    whole = transcode(source, dataclasses.replace(LOSSLESS, unit_segments=1000), name="whole", checked=False)
    units = transcode(source, LOSSLESS, name="units", checked=False)
    assert (len(whole.plan.video_units), len(units.plan.video_units)) == (1, 3)
    assert _pictures(units) == _pictures(whole)
    # Nothing was added at the seams: as many pictures as the source has places for.
    assert len(_pictures(units)) == units.plan.frames
    assert abs(units.plan.frames - PICTURES) <= 1
