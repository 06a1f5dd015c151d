"""A run in several units shows exactly the frames of a run in one unit, whatever the source and its key frames."""

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

FRAMES = 165
SIZE = "160x96"  # interlaced 4:2:0 needs a height divisible by 4

LOSSLESS = dataclasses.replace(SMALL, rungs=(ProfileRung(180, 0, 1_000_000_000),), preset="ultrafast")
"""Units of two seconds, without loss: a rate factor of 0 is lossless."""

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "40")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "15")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "40")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "400k", "-g", "40")
CODECS = {"mp4": H264, "mkv": H264, "webm": VP8, "ts": H264, "avi": MPEG4, "flv": H264, "mpg": MPEG2}
"""The usual codec of each container, by file extension."""

FIELDS = ("-flags", "+ildct+ilme", "-field_order", "tt")
# Each row: filters on the numbered frames, more encoder arguments, containers that do not support
# this.
TRAITS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "steady": ("null", (), ""),
    # Every frame for 2 s, none for 1.5 s, then two out of three.
    "VFR with gaps": ("select='lt(n,60)+gt(n,105)*mod(n,3)'", ("-fps_mode", "vfr"), "avi mpg"),
    # From frame 50 on, every frame is half a frame period late, so that rounding could go either
    # way.
    "half a frame late": ("setpts=PTS+gte(N\\,50)*0.5/FRAME_RATE/TB", ("-fps_mode", "passthrough"), "avi mpg"),
    "interlaced": ("interlace=scan=tff:lowpass=0,setfield=tff", FIELDS, "webm avi"),
    "open GOPs of 250": ("null", ("-g", "250"), ""),
}
QUICK = {
    ("steady", "avi"),
    ("steady", "webm"),
    ("VFR with gaps", "mkv"),
    ("half a frame late", "flv"),
    ("interlaced", "ts"),
    ("open GOPs of 250", "mp4"),
    ("open GOPs of 250", "mpg"),
}
"""Each trait and each container once or twice; the other cases take long."""

CASES = [
    pytest.param(trait, ending, marks=() if (trait, ending) in QUICK else pytest.mark.long, id=f"{trait} {ending}")
    for trait, (_, _, unsupported) in TRAITS.items()
    for ending in CODECS
    if ending not in unsupported.split()
]


def _source(folder: Path, trait: str, ending: str) -> Path:
    filters, arguments, _ = TRAITS[trait]
    codec = (*CODECS[ending], *arguments)
    if "libx264" in codec and trait == "open GOPs of 250":
        codec = (*codec, "-x264-params", "open-gop=1:b-adapt=0")
    # Twice the frames, because interlacing merges two into one.
    doubled = 2 if trait == "interlaced" else 1
    made = ("-f", "lavfi", "-i", numbers_filter(str(30 * doubled), SIZE))
    chosen = ("-vf", f"trim=end_frame={FRAMES * doubled},{filters}", *codec)
    path = folder / f"a.{ending}"
    if ending == "webm":
        # Written into a pipe: without cues and without duration, like a browser's recording.
        path.write_bytes(ffmpeg(*made, *chosen, "-f", "webm", "-live", "1", "pipe:1"))
    elif ending == "mpg":
        ffmpeg(*made, *chosen, "-f", "vob", str(path))
    else:
        ffmpeg(*made, *chosen, str(path))
    return path


def _frames(done: Transcoded) -> list[str]:
    """Return the time and the checksum of each frame shown."""
    lines = ffmpeg("-copyts", "-i", str(done.joined(done.rungs[0])), "-fps_mode", "passthrough", "-f", "framemd5", "-")
    return [line for line in lines.decode().splitlines() if not line.startswith("#")]


@pytest.mark.few(3)
@pytest.mark.parametrize(("trait", "ending"), CASES)
def test_units_show_the_frames_of_a_single_unit_when_sources_differ(
    trait: str, ending: str, tmp_path: Path, transcode: Transcode
) -> None:
    source = _source(tmp_path, trait, ending)
    whole = transcode(source, dataclasses.replace(LOSSLESS, unit_segments=1000), name="whole", checked=False)
    units = transcode(source, LOSSLESS, name="units", checked=False)
    assert (len(whole.plan.video_units), len(units.plan.video_units)) == (1, 3)
    assert _frames(units) == _frames(whole)
    # No frame was added at a unit boundary: together they last as long as the grid.
    assert sum(int(line.split(",")[3]) for line in _frames(units)) == units.plan.frames
    assert abs(units.plan.frames - FRAMES) <= 1
