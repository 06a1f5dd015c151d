"""The output's frames are those of the source: each once, in order, at its time, upright and undistorted."""

from __future__ import annotations

import threading
from bisect import bisect_right
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest

from tasks.transcode import SeamMismatchError, build_publication, encode_video, make_plan, probe_source
from tests.media.clips import H264, ffmpeg, make_clip, read_numbers
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.transcode import UnitKey, UnitOutput
    from tests.media.runs import Transcode

MPEG2 = ("-c:v", "mpeg2video", "-q:v", "4", "-bf", "2", "-g", "15")
STEADY = {
    "mp4 with B-frames and open GOPs": ("a.mp4", {}),
    "mp4 at 29.97": ("a.mp4", {"rate": "30000/1001"}),
    "mp4 at 25": ("a.mp4", {"rate": "25"}),
    "matroska at 23.976 with millisecond times": ("a.mkv", {"rate": "24000/1001"}),
    "webm": ("a.webm", {"codec": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k")}),
    "transport stream that starts at 1.4 s": ("a.ts", {}),
    "MPEG-2 program stream": ("a.mpg", {"codec": MPEG2}),
    "flash video": ("a.flv", {"codec": ("-c:v", "flv1", "-q:v", "4", "-g", "40")}),
    "avi": ("a.avi", {"codec": ("-c:v", "mpeg4", "-q:v", "4", "-g", "40")}),
    "one key frame only": ("a.mp4", {"codec": (*H264, "-g", "999")}),
    "fragmented mp4": ("a.mp4", {"extra": ("-movflags", "+frag_keyframe+empty_moov")}),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", STEADY)
def test_frames_appear_once_in_order_when_a_source_is_cut_into_units(
    kind: str, tmp_path: Path, transcode: Transcode
) -> None:
    name, traits = STEADY[kind]
    done = transcode(make_clip(tmp_path / name, frames=150, **traits))
    assert len(done.plan.video_units) >= 2
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(150))
    assert read_numbers(done.joined(done.rungs[-1]), done.plan) == list(range(150))


def test_frames_keep_their_times_when_the_source_is_vfr(tmp_path: Path, transcode: Transcode) -> None:
    # Every frame of the first two seconds, none for 2.5 s, then two out of three.
    kept = "select='lt(n,60)+gt(n,135)*mod(n,3)'"
    source = make_clip(tmp_path / "a.mkv", frames=240, filters=kept, extra=("-fps_mode", "vfr"))
    done = transcode(source)
    shown = [number for number in range(240) if number < 60 or (number > 135 and number % 3)]
    expected = [shown[bisect_right(shown, frame) - 1] for frame in range(240)]
    assert done.plan.rate == 30
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == expected[: done.plan.frames]
    assert abs(done.plan.frames - 240) <= 1


def test_first_frame_is_at_time_zero_when_the_source_starts_late(tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(make_clip(tmp_path / "a.mp4", extra=("-output_ts_offset", "7.3")))
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(150))


def test_first_key_frame_is_at_time_zero_when_a_recording_starts_mid_gop(tmp_path: Path, transcode: Transcode) -> None:
    packets = make_clip(tmp_path / "whole.ts", frames=200, audio_s=6.6).read_bytes()
    cut = tmp_path / "a.ts"
    # The tables at the start, then everything from the middle of the first GOP on; the next key
    # frame is frame 48.
    cut.write_bytes(packets[: 3 * 188] + packets[len(packets) // 188 // 8 * 188 :])
    done = transcode(cut)
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(48, 200))


def test_output_has_one_frame_when_the_source_has_one(tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(make_clip(tmp_path / "a.mp4", frames=1))
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == [0]


def test_last_frame_is_repeated_when_the_audio_is_longer(tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(make_clip(tmp_path / "a.mp4", frames=75, audio_s=6.0))
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == [*range(75), *([74] * 105)]


def _corners(path: Path) -> list[int]:
    """Return the luma at the top left, top right, bottom left and bottom right of the first frame."""
    raw = ffmpeg("-i", str(path), "-frames:v", "1", "-vf", "scale=4:4:flags=area,format=gray", "-f", "rawvideo", "-")
    return [raw[at] for at in (0, 3, 12, 15)]


def test_video_is_upright_when_a_phone_recorded_it_rotated(tmp_path: Path, transcode: Transcode) -> None:
    landscape = tmp_path / "landscape.mp4"
    white_corner = "color=black:s=320x180:r=30:d=1,drawbox=x=0:y=0:w=80:h=45:c=white:t=fill"
    ffmpeg("-f", "lavfi", "-i", white_corner, *H264, str(landscape))
    rotated = tmp_path / "rotated.mp4"
    # The phone's display matrix rotates by 90 degrees clockwise: the white corner moves from top
    # left to top right.
    ffmpeg("-display_rotation", "-90", "-i", str(landscape), "-c", "copy", str(rotated))
    done = transcode(rotated)
    top = done.plan.rungs[0]
    assert (top.width_px, top.height_px) == (180, 320)
    dark_left, bright_right, *dark_below = _corners(done.joined(top.name))
    assert bright_right > 200
    assert max(dark_left, *dark_below) < 60
    # Players on phones ignore a rotation in HLS: the output must not carry one.
    assert probe_source(done.joined(top.name)).quarter_turns == 0
    # The display matrix of the output is the identity.
    assert (0x0001_0000).to_bytes(4) + bytes(12) + (0x0001_0000).to_bytes(4) in done.joined(top.name).read_bytes()[:600]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("size", "filters", "expected"),
    [
        ("160x90", "null", [(160, 90), (142, 80), (106, 60)]),
        ("90x160", "null", [(90, 160), (80, 142), (60, 106)]),
        ("144x90", "setsar=10/9", [(160, 90), (142, 80), (106, 60)]),
        ("161x91", "format=yuv444p", [(160, 90), (142, 80), (106, 60)]),
        ("640x360", "null", [(320, 180), (142, 80), (106, 60)]),
    ],
    ids=["landscape", "portrait", "anamorphic", "odd sides", "larger than the profile"],
)
def test_rungs_keep_the_aspect_ratio_when_the_source_has_any_size(
    size: str, filters: str, expected: list[tuple[int, int]], tmp_path: Path, transcode: Transcode
) -> None:
    codec = (*H264, "-profile:v", "high444") if "444" in filters else H264
    done = transcode(make_clip(tmp_path / "a.mp4", frames=20, size=size, filters=filters, codec=codec))
    assert [(rung.width_px, rung.height_px) for rung in done.plan.rungs] == expected
    for rung, (width_px, height_px) in zip(done.rungs, expected, strict=True):
        made = probe_source(done.joined(rung))
        assert (made.width_px, made.height_px, made.sample_aspect) == (width_px, height_px, Fraction(1))
        assert made.pixel_format == "yuv420p"


@pytest.mark.parametrize("tag", ["bt709", "smpte170m", "unknown"])
def test_colours_are_kept_and_tagged_when_the_source_has_any_matrix(
    tag: str, tmp_path: Path, transcode: Transcode
) -> None:
    matrix = "smpte170m" if tag == "unknown" else tag
    clip = tmp_path / "a.mp4"
    tagged = () if tag == "unknown" else ("-colorspace", tag)
    ffmpeg(
        *("-f", "lavfi", "-i", "color=0x20c040:s=160x90:r=30:d=0.5"),
        *("-vf", f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p,setparams=colorspace={tag}"),
        *(*H264, "-qp", "0", *tagged, str(clip)),
    )
    done = transcode(clip)
    made = done.joined(done.rungs[0])
    with av.open(str(made)) as container:
        frame = next(container.decode(video=0))
        # In ITU-T H.273 1 is BT.709; in the colour range 1 is limited.
        assert [int(part) for part in (frame.colorspace, frame.color_primaries, frame.color_trc)] == [1, 1, 1]
        assert int(frame.color_range) == 1
    pixel = ffmpeg(
        *("-i", str(made), "-frames:v", "1", "-vf", "scale=1:1:flags=area:in_color_matrix=bt709,format=rgb24"),
        *("-f", "rawvideo", "-"),
    )
    assert list(pixel) == pytest.approx([0x20, 0xC0, 0x40], abs=4)


def _without_key_frame_list(clip: Path) -> Path:
    """Rename the list of key frames: every frame then counts as one, and reading may start at a wrong frame."""
    content = clip.read_bytes()
    assert content.count(b"stss") == 1
    clip.write_bytes(content.replace(b"stss", b"free"))
    return clip


def test_seam_mismatch_names_the_units_when_key_frame_flags_are_false(tmp_path: Path) -> None:
    clip = _without_key_frame_list(make_clip(tmp_path / "a.mp4", codec=("-c:v", "mpeg4", "-q:v", "3", "-g", "300")))
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    outputs: dict[UnitKey, UnitOutput] = {
        unit.index: encode_video(clip, plan, unit.index, tmp_path, progress=lambda _: None, stop=threading.Event())
        for unit in plan.video_units
    }
    with pytest.raises(SeamMismatchError) as caught:
        build_publication(plan, outputs, url_of=lambda unit, file: f"{unit}/{file.name}")
    assert caught.value.units == (0, 1, 2)


def test_frames_are_complete_when_key_frame_flags_are_false(tmp_path: Path, transcode: Transcode) -> None:
    clip = make_clip(tmp_path / "a.mp4", codec=("-c:v", "mpeg4", "-q:v", "3", "-g", "300"))
    done = transcode(_without_key_frame_list(clip))
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(150))


def test_unit_is_the_same_when_the_source_is_read_from_its_beginning(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", codec=(*H264, "-g", "12"))
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    assert plan.video_units[1].seeks_s[0] is not None
    sought, read = (
        encode_video(
            clip, plan, 1, tmp_path, progress=lambda _: None, stop=threading.Event(), from_beginning=from_beginning
        )
        for from_beginning in (False, True)
    )
    assert (sought.files, sought.head, sought.tail) == (read.files, read.head, read.tail)
