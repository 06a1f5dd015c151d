"""Sizes and shapes that change on the way: the ladder follows most of the video, and nothing is stretched or cut."""

from __future__ import annotations

import dataclasses
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import ProfileRung, encode_video, make_plan, probe_source
from tests.media.changing_sizes import AV1, H264, HEVC, MJPEG, MPEG2, VP8, VP9, Piece, join, lying_at
from tests.media.clips import ffmpeg, numbers_filter
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

GROWS_AND_TURNS = (Piece(160, 90), Piece(320, 180, frames=60), Piece(180, 320))
"""Small at first as calls are, then large, then the phone is turned."""

KINDS = {
    "vp8 webm": VP8,
    "vp9 webm": VP9,
    "vp9 mkv": VP9,
    "av1 webm": AV1,
    "av1 mp4": AV1,
    "h264 mp4": H264,
    "h264 mkv": H264,
    "h264 flv": H264,
    "h264 ts": H264,
    "hevc mp4": HEVC,
    "hevc mkv": HEVC,
    "hevc ts": HEVC,
    "mpeg2 ts": MPEG2,
    "mpeg2 mpg": MPEG2,
    "mjpeg mkv": MJPEG,
    "mjpeg mov": MJPEG,
    "mjpeg avi": MJPEG,
}


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", KINDS)
def test_ladder_follows_most_of_the_video_when_its_size_changes(kind: str, tmp_path: Path) -> None:
    source = probe_source(join(tmp_path / f"a.{kind.split()[1]}", GROWS_AND_TURNS, KINDS[kind]))
    found = [(change.shape.width_px, change.shape.height_px) for change in source.shapes]
    assert found == [(piece.width_px, piece.height_px) for piece in GROWS_AND_TURNS]
    starts_s = [float((change.pts - source.first_pts) * source.time_base) for change in source.shapes]
    assert starts_s == pytest.approx([0, 1, 3], abs=0.05)
    plan = make_plan(source, SMALL, threads=1)
    assert [(rung.width_px, rung.height_px) for rung in plan.rungs] == [(320, 180), (142, 80), (106, 60)]
    assert plan.warnings == ("SIZE_CHANGES 160 x 90, 320 x 180, 180 x 320",)
    assert not plan.plays_directly


def _check_grows_and_turns(done: Transcoded) -> None:
    assert (done.plan.rungs[0].width_px, done.plan.rungs[0].height_px) == (320, 180)
    # Half of 180, scaled with its frame: the small one twofold, the turned one from 320 rows to 180.
    for at_s, bars_px, side_px in ((0.5, 0, 90), (2, 0, 90), (3.5, 320 - 102, 51)):
        lying = lying_at(done, at_s)
        assert lying.bars == pytest.approx((bars_px, 0), abs=3)
        assert lying.square == pytest.approx((side_px, side_px), abs=2)
        assert lying.off_centre == pytest.approx((0, 0), abs=2)


@pytest.mark.parametrize("kind", ["vp8 webm", "h264 mp4", "mpeg2 mpg"])
def test_frames_get_bars_when_their_shape_changes(kind: str, tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(join(tmp_path / f"a.{kind.split()[1]}", GROWS_AND_TURNS, KINDS[kind]))
    _check_grows_and_turns(done)
    [warning] = done.publication.manifest["warnings"]
    assert warning["code"] == "SIZE_CHANGES"
    assert "(160 x 90, 320 x 180, 180 x 320)" in warning["message"]


def test_hdr_frames_get_bars_when_their_shape_changes(tmp_path: Path, transcode: Transcode) -> None:
    hdr = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
    tags = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"
    codec = (*HEVC[:-1], f"{HEVC[-1]}:{tags}")
    done = transcode(join(tmp_path / "a.mkv", GROWS_AND_TURNS, codec, filters=hdr))
    assert done.plan.transfer == "arib-std-b67"
    _check_grows_and_turns(done)


def test_fields_get_bars_when_the_shape_of_television_changes(tmp_path: Path, transcode: Transcode) -> None:
    fields = ("-flags", "+ildct+ilme", "-field_order", "tt")
    pieces = (Piece(320, 192, frames=60), Piece(240, 192, frames=30))
    interlaced = "interlace=scan=tff:lowpass=0,setfield=tff"
    done = transcode(join(tmp_path / "a.ts", pieces, (*MPEG2, *fields), filters=interlaced))
    assert done.plan.interlaced
    before, after = lying_at(done, 0.5), lying_at(done, 2.5)
    assert before.bars == (0, 0)
    assert after.bars == pytest.approx((300 - 225, 0), abs=3)
    assert after.square == pytest.approx((90, 90), abs=2)


def test_frames_get_bars_when_only_their_pixels_change(tmp_path: Path, transcode: Transcode) -> None:
    # A film in 4:3, then in 16:9, both in 192 x 144 as on a DVD; then the first for a moment.
    wide, narrow = 4 / 3, 1
    pieces = (
        Piece(192, 144, frames=15, pixel_aspect=narrow),
        Piece(192, 144, frames=60, pixel_aspect=wide),
        Piece(192, 144, frames=15, pixel_aspect=narrow),
    )
    done = transcode(join(tmp_path / "a.mpg", pieces, MPEG2))
    assert (done.plan.rungs[0].width_px, done.plan.rungs[0].height_px) == (256, 144)
    assert done.plan.warnings == ("SIZE_CHANGES 192 x 144, 256 x 144",)
    for at_s, bars_px in ((0.25, 64), (1.5, 0), (2.75, 64)):
        lying = lying_at(done, at_s)
        assert lying.bars == pytest.approx((bars_px, 0), abs=3)
        assert lying.square == pytest.approx((72, 72), abs=2)


def test_frames_stay_upright_when_a_turned_track_changes_its_size(tmp_path: Path, transcode: Transcode) -> None:
    joined = join(tmp_path / "stored.mp4", GROWS_AND_TURNS, H264)
    ffmpeg("-display_rotation", "90", "-i", str(joined), "-c", "copy", str(tmp_path / "a.mp4"))
    done = transcode(tmp_path / "a.mp4")
    assert (done.plan.rungs[0].width_px, done.plan.rungs[0].height_px) == (180, 320)
    assert done.plan.warnings == ("SIZE_CHANGES 90 x 160, 180 x 320, 320 x 180",)
    assert lying_at(done, 2).bars == (0, 0)
    turned = lying_at(done, 3.5)
    assert turned.bars == pytest.approx((0, 320 - 102), abs=3)
    assert turned.square == pytest.approx((51, 51), abs=2)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((6, 2, 2), (160, 90)), ((1, 3, 3), (240, 134)), ((1, 1, 3), (320, 180))],
    ids=["half of it small", "a step between", "mostly large"],
)
def test_ladder_has_the_size_of_half_of_the_video_when_there_are_many(
    seconds: Sequence[int], expected: tuple[int, int], tmp_path: Path
) -> None:
    sizes = ((160, 90), (240, 134), (320, 180))
    pieces = [Piece(*size, frames=10 * length) for size, length in zip(sizes, seconds, strict=True)]
    source = probe_source(join(tmp_path / "a.webm", pieces, VP8))
    assert (source.width_px, source.height_px) == expected


LOSSLESS = dataclasses.replace(SMALL, rungs=(ProfileRung(180, 0, 1_000_000_000),), preset="ultrafast")


@pytest.mark.parametrize("kind", ["vp8 webm", "h264 ts"])
def test_units_have_the_same_bytes_when_the_size_changes_within_and_between_them(
    kind: str, tmp_path: Path, transcode: Transcode
) -> None:
    # At 1.5 s within the first unit of two seconds, and with the third unit.
    parts = (("80x48", 45), ("160x96", 75), ("96x160", 45))
    pieces = [f"{numbers_filter('30', size)},trim=end_frame={frames}" for size, frames in parts]
    source = join(tmp_path / f"a.{kind.split()[1]}", pieces, KINDS[kind])
    whole = transcode(source, dataclasses.replace(LOSSLESS, unit_segments=1000), name="whole", checked=False)
    units = transcode(source, LOSSLESS, name="units", checked=False)
    assert len(units.plan.video_units) == 3
    assert _shown(units) == _shown(whole)
    stored = {entry["unit"]: entry["sha256"] for entry in units.publication.manifest["objects"] if entry["rung"]}
    for unit in units.plan.video_units:
        folder = tmp_path / f"unit-{unit.index}"
        folder.mkdir()
        output = encode_video(
            source,
            units.plan,
            unit.index,
            folder,
            progress=lambda _: None,
            stop=threading.Event(),
            from_beginning=True,
        )
        assert next(file.sha256 for file in output.files if file.rung) == stored[unit.index]


def _shown(done: Transcoded) -> list[str]:
    lines = ffmpeg("-copyts", "-i", str(done.joined(done.rungs[0])), "-fps_mode", "passthrough", "-f", "framemd5", "-")
    return [line for line in lines.decode().splitlines() if not line.startswith("#")]


def test_direct_play_is_not_offered_when_parameter_sets_change_but_not_the_size(tmp_path: Path) -> None:
    pieces = (Piece(320, 180), Piece(320, 180))
    one = join(tmp_path / "one.mp4", pieces, H264)
    assert make_plan(probe_source(one), SMALL, threads=1).plays_directly
    ffmpeg("-f", "lavfi", "-i", pieces[0].filters, *H264, "-refs", "3", "-level", "4", str(tmp_path / "other.ts"))
    listed = tmp_path / "list"
    listed.write_text("file 'one-0.ts'\nfile 'other.ts'\n")
    ffmpeg("-f", "concat", "-i", str(listed), "-c", "copy", str(tmp_path / "two.mp4"))
    source = probe_source(tmp_path / "two.mp4")
    assert (source.parameter_sets, source.shapes, source.warnings) == (2, (), ())
    assert not make_plan(source, SMALL, threads=1).plays_directly


def crop_to(path: Path, width: int, height: int, *, down_px: int = 0) -> None:
    """Crop an MP4 with the index at its end to the middle of the frame (CleanApertureBox, ISO/IEC 14496-12, 12.1.4).

    The middle is `down_px` below that of the frame.
    """
    content = bytearray(path.read_bytes())
    clap = struct.pack(">I4s8I", 40, b"clap", width, 1, height, 1, 0, 1, down_px, 1)
    entry = content.index(b"avc1", content.index(b"stsd")) - 4
    content[entry + 86 : entry + 86] = clap
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = content.index(name, content.index(b"moov")) - 4
        content[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", content, at)[0] + len(clap))
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_frames_are_cropped_when_the_container_declares_it(name: str, tmp_path: Path, transcode: Transcode) -> None:
    source = tmp_path / "whole.mp4"
    ffmpeg("-f", "lavfi", "-i", Piece(320, 180).filters, *H264, str(source))
    crop_to(source, 240, 120, down_px=10)
    ffmpeg("-i", str(source), "-c", "copy", str(tmp_path / "copy.mkv"))
    (tmp_path / "copy.mkv" if name == "a.mkv" else source).rename(tmp_path / name)
    done = transcode(tmp_path / name)
    assert done.plan.fit is not None
    assert done.plan.fit.crop_px == (40, 40, 40, 20)
    assert (done.plan.rungs[0].width_px, done.plan.rungs[0].height_px) == (240, 120)
    assert not done.plan.plays_directly
    lying = lying_at(done, 0.5)
    assert lying.bars == (0, 0)
    assert lying.off_centre == pytest.approx((0, -20), abs=2)
    assert lying.square == pytest.approx((90, 90), abs=2)


RIGHT_PX = 40


@pytest.mark.parametrize("left_px", [16, 40, 64])
def test_frames_are_as_wide_as_declared_when_the_codec_crops_them_at_the_left(
    left_px: int, tmp_path: Path, transcode: Transcode
) -> None:
    whole, source = tmp_path / "whole.ts", tmp_path / "a.ts"
    ffmpeg("-f", "lavfi", "-i", Piece(320, 192).filters, *H264, str(whole))
    crop = f"h264_metadata=crop_left={left_px}:crop_right={RIGHT_PX}"
    ffmpeg("-i", str(whole), "-c", "copy", "-bsf:v", crop, str(source))
    probed = probe_source(source)
    assert (probed.width_px, probed.height_px) == (320 - RIGHT_PX - left_px, 192)
    if left_px == RIGHT_PX:
        lying = lying_at(transcode(source), 0.5)
        assert lying.square == pytest.approx((90, 90), abs=2)
        assert lying.bars == (0, 0)


def test_square_stays_square_when_matroska_crops_less_than_it_displays(tmp_path: Path, transcode: Transcode) -> None:
    # Cropped to 320 x 120, but with the display size of the whole frame, as some muxers leave it.
    source = tmp_path / "whole.mp4"
    ffmpeg("-f", "lavfi", "-i", Piece(320, 180).filters, *H264, str(source))
    crop_to(source, 320, 120)
    # Pixels that stretch 320 x 120 to 320 x 180.
    ffmpeg("-i", str(source), "-c", "copy", "-aspect", "32:27", str(tmp_path / "a.mkv"))
    done = transcode(tmp_path / "a.mkv")
    assert (done.plan.rungs[0].width_px, done.plan.rungs[0].height_px) == (320, 120)
    assert lying_at(done, 0.5).square == pytest.approx((90, 90), abs=2)
