"""What people upload: one row for each kind of file, and the output it must give."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tests.media.clips import H264, ffmpeg, numbers_filter, on_grid, read_numbers
from tests.media.playlist_parser import jpeg_size_px

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

MPEG4 = ("-c:v", "mpeg4", "-q:v", "3", "-g", "40")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "600k", "-g", "40")
TONE = ("-f", "lavfi", "-i", "sine=440:r=48000:d=9")
AAC = ("-c:a", "aac", "-b:a", "64k")


def at_rate(rate: str, *codec: str, frames: int = 90, size: str = "160x90", filters: str = "null") -> tuple[str, ...]:
    """Return ffmpeg's arguments for numbered frames."""
    made = ("-f", "lavfi", "-i", numbers_filter(rate, size))
    return (*made, "-vf", f"trim=end_frame={frames},{filters}", *(codec or H264))


def with_tone(
    *codec: str, audio: tuple[str, ...] = AAC, tone: tuple[str, ...] = TONE, seconds: int = 3
) -> tuple[str, ...]:
    """Return ffmpeg's arguments for `seconds` of numbered frames at 30 fps, with audio."""
    made = ("-f", "lavfi", "-i", numbers_filter("30"), *tone, "-map", "0:v", "-map", "1:a")
    return (*made, "-vf", f"trim=end_frame={30 * seconds}", *(codec or H264), *audio, "-t", str(seconds))


def forget_times(path: Path) -> None:
    """Turn the timestamps of a program stream into padding, by clearing their flags (ISO/IEC 13818-1, 2.4.3.7)."""
    content = bytearray(path.read_bytes())
    at = content.find(b"\x00\x00\x01\xe0")
    while at >= 0:
        content[at + 7] &= 0x3F
        at = content.find(b"\x00\x00\x01\xe0", at + 4)
    path.write_bytes(content)


@dataclass(frozen=True)
class Input:
    """A row of the table: how to make the file, and its expected output."""

    name: str
    arguments: tuple[str, ...]
    size: tuple[int, int] = (160, 90)
    rate: str = "30"
    numbers: tuple[int, ...] | None = tuple(range(90))
    """The numbers shown by the output's frames, in order; None if they cannot be read."""
    has_audio: bool = False
    finish: Callable[[Path], None] | None = None
    """What else to do to the file."""


def copied(*options: str) -> Callable[[Path], None]:
    """Return a function that copies a file's streams with input options, e.g. to rotate or trim by metadata alone."""

    def copy(path: Path) -> None:
        plain = path.with_name(f"plain-{path.name}")
        path.rename(plain)
        ffmpeg(*options, "-i", str(plain), "-c", "copy", str(path))

    return copy


def from_pipe(container: str) -> Callable[[Path], None]:
    """Return a function that rewrites a file like a browser's recorder: not seeking, so no duration and no index."""

    def pipe(path: Path) -> None:
        path.write_bytes(ffmpeg("-i", str(path), "-c", "copy", "-f", container, "-live", "1", "pipe:1"))

    return pipe


AUDIO_FIRST = (
    *("-f", "lavfi", "-i", "sine=440:r=48000:d=6", "-itsoffset", "3", "-f", "lavfi", "-i", numbers_filter("30")),
    *("-map", "1:v", "-map", "0:a", "-vf", "trim=end_frame=90", *H264, *AAC),
)

INPUTS = {
    # Rates: common ones are kept exactly, those above 60 are halved.
    "23.976": Input("a.mp4", at_rate("24000/1001"), rate="24000/1001"),
    "24": Input("a.mp4", at_rate("24"), rate="24"),
    "25": Input("a.mp4", at_rate("25"), rate="25"),
    "50": Input("a.mp4", at_rate("50"), rate="50"),
    "59.94": Input("a.mp4", at_rate("60000/1001"), rate="60000/1001"),
    "60": Input("a.mp4", at_rate("60"), rate="60"),
    "120": Input("a.mp4", at_rate("120"), rate="60", numbers=tuple(range(0, 90, 2))),
    "5": Input("a.mp4", at_rate("5", frames=15), rate="10", numbers=tuple(n // 2 for n in range(30))),
    "half a frame late": Input(
        "a.mp4", at_rate("30", *H264, "-fps_mode", "passthrough", filters="setpts=PTS+gte(N\\,50)*0.5/FRAME_RATE/TB")
    ),
    "a gap of 7 s": Input(
        "a.mkv",
        at_rate("30", *H264, "-fps_mode", "vfr", frames=300, filters="select='lt(n,45)+gt(n,255)'"),
        numbers=(*range(45), *([44] * 211), *range(256, 300)),
    ),
    # Frames as stored.
    "4:2:2 in 10 bits": Input(
        "a.mov", at_rate("30", *H264, "-profile:v", "high422", filters="format=yuv422p10le"), rate="30"
    ),
    "4:4:4": Input("a.mp4", at_rate("30", *H264, "-profile:v", "high444", filters="format=yuv444p")),
    "RGB": Input("a.mkv", at_rate("30", "-c:v", "ffv1", filters="format=bgr0")),
    "full range": Input("a.mp4", at_rate("30", filters="scale=out_range=full,format=yuvj420p")),
    "HEVC": Input("a.mp4", at_rate("30", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")),
    "VP9": Input("a.webm", at_rate("30", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")),
    "ProRes": Input("a.mov", at_rate("30", "-c:v", "prores_ks", filters="format=yuv422p10le")),
    "interlaced, top field first": Input(
        "a.ts",
        at_rate(
            *("60", *H264, "-flags", "+ildct+ilme", "-field_order", "tt"),
            frames=180,
            size="160x96",
            filters="interlace=scan=tff:lowpass=0,setfield=tff",
        ),
        size=(160, 96),
        numbers=None,
    ),
    "interlaced, bottom field first": Input(
        "a.avi",
        at_rate(
            *("50", "-c:v", "mpeg2video", "-q:v", "3", "-flags", "+ildct+ilme", "-field_order", "bb"),
            frames=150,
            size="160x96",
            filters="interlace=scan=bff:lowpass=0,setfield=bff",
        ),
        size=(160, 96),
        rate="25",
        numbers=None,
    ),
    # Frames as shown.
    "odd sides": Input("a.mkv", at_rate("30", *MPEG4, size="161x91", filters="format=yuv420p")),
    "mirrored": Input("a.mp4", at_rate("30"), finish=copied("-display_hflip"), numbers=None),
    "rotated by 90 and mirrored": Input(
        "a.mp4", at_rate("30"), finish=copied("-display_rotation", "90", "-display_vflip"), size=(90, 160), numbers=None
    ),
    "rotated by 180": Input("a.mp4", at_rate("30"), finish=copied("-display_rotation", "180"), numbers=None),
    "rotated by 270": Input(
        "a.mp4", at_rate("30"), finish=copied("-display_rotation", "270"), size=(90, 160), numbers=None
    ),
    # Containers.
    "mov": Input("a.mov", with_tone(), has_audio=True),
    "3gp": Input("a.3gp", at_rate("30", *MPEG4)),
    "mkv": Input("a.mkv", with_tone(audio=("-c:a", "libopus")), has_audio=True),
    "webm from a browser's recorder": Input(
        "a.webm", with_tone(*VP8, audio=("-c:a", "libopus")), has_audio=True, finish=from_pipe("webm")
    ),
    "mkv without an index": Input("a.mkv", with_tone(), has_audio=True, finish=from_pipe("matroska")),
    # The muxer leaves a frame's place empty after the first frame.
    "avi with mp3": Input(
        "a.avi", with_tone(*MPEG4, audio=("-c:a", "libmp3lame")), numbers=(0, *range(90)), has_audio=True
    ),
    "mts from a camcorder": Input("a.mts", (*with_tone(), "-mpegts_m2ts_mode", "1", "-f", "mpegts"), has_audio=True),
    "flv": Input("a.flv", with_tone(), has_audio=True),
    "ogv": Input("a.ogv", with_tone("-c:v", "libtheora", "-q:v", "7", audio=("-c:a", "libvorbis")), has_audio=True),
    "wmv": Input("a.wmv", with_tone("-c:v", "wmv2", "-q:v", "3", audio=("-c:a", "wmav2")), has_audio=True),
    "program stream": Input(
        "a.vob",
        with_tone("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "15", audio=("-c:a", "mp2")),
        has_audio=True,
    ),
    "program stream without timestamps": Input(
        "a.mpg",
        at_rate("30", "-c:v", "mpeg1video", "-q:v", "3", "-bf", "0", "-g", "15"),
        finish=forget_times,
    ),
    "fragmented mp4": Input("a.mp4", (*with_tone(), "-movflags", "+frag_keyframe+empty_moov"), has_audio=True),
    "edit list that skips 10 frames": Input(
        "a.mp4", at_rate("30", *H264, "-g", "30"), numbers=tuple(range(10, 90)), finish=copied("-ss", "0.33")
    ),
    "open GOPs of 250": Input(
        "a.mp4",
        at_rate(
            "30",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-bf",
            "2",
            "-g",
            "250",
            "-x264-params",
            "open-gop=1:b-adapt=0",
        ),
    ),
    "clock that starts at 5000 s": Input("a.ts", (*with_tone(), "-output_ts_offset", "5000"), has_audio=True),
    # Additional streams.
    "second video stream is the default": Input(
        "a.mkv",
        (
            *("-f", "lavfi", "-i", "color=red:s=320x180:r=25:d=2", "-f", "lavfi", "-i", numbers_filter("30")),
            *("-map", "0", "-map", "1", "-frames:v:1", "90", *H264),
            *("-disposition:v:0", "0", "-disposition:v:1", "default"),
        ),
    ),
    "mono": Input("a.mp4", (*with_tone(), "-ac", "1"), has_audio=True),
    "5.1": Input("a.mp4", (*with_tone(), "-ac", "6"), has_audio=True),
    "audio at 22.05 kHz": Input("a.mp4", (*with_tone(), "-ar", "22050"), has_audio=True),
    # Lengths.
    "one frame": Input("a.mp4", at_rate("30", frames=1), numbers=(0,)),
    "one second": Input("a.mp4", at_rate("30", frames=30), numbers=tuple(range(30))),
    "audio that ends early": Input("a.mkv", with_tone(tone=("-f", "lavfi", "-i", "sine=d=1")), has_audio=True),
    # Matroska includes the audio's priming of 21 ms: one frame more.
    "audio 3 s before the video, in mkv": Input("a.mkv", AUDIO_FIRST, numbers=(*[0] * 91, *range(90)), has_audio=True),
    "audio 3 s before the video, in mp4": Input("a.mp4", AUDIO_FIRST, numbers=(*[0] * 90, *range(90)), has_audio=True),
    # Matrices that ffmpeg's scale filter rejects by name.
    **{
        f"matrix {matrix}": Input("a.mkv", at_rate("30", "-c:v", "ffv1", filters=f"setparams=colorspace={matrix}"))
        for matrix in ("bt2020c", "ycgco", "ictcp", "chroma-derived-nc")
    },
    "audio that starts late": Input(
        "a.mkv", with_tone(tone=("-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=d=1")), has_audio=True
    ),
}


@pytest.mark.few(7)
@pytest.mark.parametrize("kind", INPUTS)
def test_output_is_correct_when_the_upload_is_of_any_kind(kind: str, tmp_path: Path, transcode: Transcode) -> None:
    row = INPUTS[kind]
    source = tmp_path / row.name
    ffmpeg(*row.arguments, str(source))
    if row.finish:
        row.finish(source)
    done = transcode(source)
    top = done.plan.rungs[0]
    assert (top.width_px, top.height_px) == row.size
    assert done.plan.rate == Fraction(row.rate)
    assert done.plan.has_audio == row.has_audio
    if row.numbers is not None:
        for rung in (done.rungs[0], done.rungs[-1]):
            assert tuple(read_numbers(done.joined(rung), done.plan)) == row.numbers
        assert done.plan.frames == len(row.numbers)


CUT_OFF = {
    "mp4 with its index at the start": ("a.mp4", (*with_tone(seconds=8), "-movflags", "+faststart")),
    "fragmented mp4": ("a.mp4", (*with_tone(*H264, "-g", "15", seconds=8), "-movflags", "+frag_keyframe+empty_moov")),
    "mkv": ("a.mkv", with_tone(seconds=8)),
    "webm": ("a.webm", with_tone(*VP8, audio=("-c:a", "libopus"), seconds=8)),
    "transport stream": ("a.ts", with_tone(seconds=8)),
    "flv": ("a.flv", with_tone(seconds=8)),
    "avi": ("a.avi", with_tone(*MPEG4, audio=("-c:a", "libmp3lame"), seconds=8)),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", CUT_OFF)
def test_output_and_warning_are_given_when_the_upload_is_truncated(
    kind: str, tmp_path: Path, transcode: Transcode
) -> None:
    name, arguments = CUT_OFF[kind]
    source = tmp_path / name
    ffmpeg(*arguments, str(source))
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 6 // 10])
    done = transcode(source)
    shown = list(dict.fromkeys(read_numbers(done.joined(done.rungs[0]), done.plan)))
    # The last frame may be truncated.
    assert 60 < len(shown) < 200
    assert shown[:-1] == list(range(len(shown) - 1))
    warnings = {warning["code"] for warning in done.publication.manifest["warnings"]}
    # The other containers do not declare their length, or ffmpeg corrects it from their size.
    assert warnings & {"SHORTER_THAN_DECLARED", "READING_BROKE_OFF"} or kind in {
        "fragmented mp4",
        "transport stream",
        "avi",
    }


def _levels(done: Transcoded, width: int, height: int) -> bytes:
    """Return the luma of frame 20 of the largest rung as `width` x `height` values: 16 is black and 235 white."""
    shown = (
        "-vf",
        f"{on_grid(done.plan)},trim=start_frame=20:end_frame=21,scale={width}:{height}:flags=area,format=yuv420p,extractplanes=y",
    )
    return ffmpeg("-i", str(done.joined(done.rungs[0])), *shown, "-f", "rawvideo", "-")


@pytest.mark.parametrize(("transfer", "white"), [("smpte2084", 0.5807), ("arib-std-b67", 0.75)], ids=["HDR10", "HLG"])
@pytest.mark.parametrize("levels", [("limited", 64, 876), ("full", 0, 1023)], ids=["limited", "full"])
def test_black_and_white_levels_are_kept_when_the_source_is_hdr(
    transfer: str, white: float, levels: tuple[str, int, int], tmp_path: Path, transcode: Transcode
) -> None:
    named, black, span = levels
    # Black on the left, diffuse white on the right: 203 nits (ITU-R BT.2408).
    drawn = f"geq=lum='if(lt(X,80),{black},{round(black + span * white)})':cb=512:cr=512"
    names = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range={named}"
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=none:range={named}", "-qp", "4")
    pattern = f"color=black:s=160x90:r=30:d=1,format=yuv420p10le,{drawn},{names}"
    ffmpeg("-f", "lavfi", "-i", pattern, *codec, str(tmp_path / "a.mp4"))
    done = transcode(tmp_path / "a.mp4")
    assert (done.plan.transfer, done.plan.full_range) == (transfer, named == "full")
    dark, _, _, bright = _levels(done, 4, 1)
    assert dark == pytest.approx(16, abs=2)
    assert bright == pytest.approx(200, abs=12)


@pytest.mark.parametrize("first", ["tff", "bff"])
def test_output_has_no_combing_when_the_source_is_interlaced(first: str, tmp_path: Path, transcode: Transcode) -> None:
    # Each field has its own brightness, as if everything moved: in the stored frame every second
    # line differs.
    fields = "color=black:s=160x96:r=60:d=3,geq=lum='16+20*mod(7*N,10)':cb=128:cr=128,"
    fields += f"interlace=scan={first}:lowpass=0,setfield={first}"
    codec = (*H264, "-flags", "+ildct+ilme", "-field_order", {"tff": "tt", "bff": "bb"}[first])
    ffmpeg("-f", "lavfi", "-i", fields, *codec, str(tmp_path / "a.ts"))
    rows = ffmpeg(
        "-i",
        str(tmp_path / "a.ts"),
        "-vf",
        "trim=start_frame=20,scale=1:96,format=gray",
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-",
    )
    assert max(abs(this - that) for this, that in itertools.pairwise(rows)) > 100
    done = transcode(tmp_path / "a.ts")
    rows = _levels(done, 1, 96)
    assert max(abs(this - that) for this, that in itertools.pairwise(rows)) < 10


def test_audio_belongs_to_the_video_when_a_stream_has_two_programmes(tmp_path: Path, transcode: Transcode) -> None:
    radio, television = ("-f", "lavfi", "-i", "anullsrc=d=3"), ("-f", "lavfi", "-i", "sine=440:r=48000:d=3")
    ffmpeg(
        *(*radio, *television, "-f", "lavfi", "-i", numbers_filter("30"), "-map", "0", "-map", "2", "-map", "1"),
        *("-frames:v", "90", *H264, "-c:a", "mp2", "-program", "title=radio:st=0", "-program", "title=tv:st=1:st=2"),
        str(tmp_path / "a.ts"),
    )
    done = transcode(tmp_path / "a.ts")
    samples = ffmpeg("-i", str(done.joined("audio")), "-ac", "1", "-f", "u8", "-")
    assert max(samples) > 128 + 10


@pytest.mark.few(2)
@pytest.mark.parametrize("cover", [False, True], ids=["alone", "with a cover"])
@pytest.mark.parametrize("name", ["a.m4a", "a.mka", "a.ogg"])
def test_audio_is_published_with_a_poster_when_there_is_no_video(
    name: str, cover: bool, tmp_path: Path, transcode: Transcode
) -> None:
    source = tmp_path / name
    codec = ("-c:a", "libvorbis") if name.endswith("ogg") else AAC
    ffmpeg("-f", "lavfi", "-i", "sine=440:r=44100:d=3.5", "-ac", "1", *codec, str(source))
    if cover:
        if not name.endswith("m4a"):
            pytest.skip("only this container stores covers as a stream")
        plain = source.rename(tmp_path / f"plain-{name}")
        ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", str(tmp_path / "cover.jpg"))
        ffmpeg(
            *("-i", str(plain), "-i", str(tmp_path / "cover.jpg"), "-map", "0", "-map", "1", "-c", "copy"),
            *("-disposition:v:0", "attached_pic", str(source)),
        )
    done = transcode(source)
    assert (done.plan.rungs, done.run.units()) == ((), ["audio"])
    assert done.plan.duration_s == pytest.approx(3.5, abs=0.06)
    poster = done.run.folder / done.publication.manifest["poster"]
    assert jpeg_size_px(poster.read_bytes()) == (1280, 720)
    # Its waveform stands out from black.
    rows = ffmpeg("-i", str(poster), "-vf", "scale=1:9:flags=area,format=gray", "-f", "rawvideo", "-")
    assert rows[0] < 20
    assert rows[4] > 60
    ffmpeg("-xerror", "-i", str(done.run.folder / "master.m3u8"), "-f", "null", "-")


@pytest.mark.parametrize("samples", [100, 7777])
def test_audio_length_is_correct_when_its_last_packet_is_cut_entirely(
    samples: int, tmp_path: Path, transcode: Transcode
) -> None:
    # Two audio files of Debian's games came out 27 hours long: libav returns the last packet's
    # negative duration as unsigned.
    source = tmp_path / "a.ogg"
    ffmpeg(
        "-f", "lavfi", "-i", "sine=440:r=44100", "-af", f"atrim=end_sample={samples}", "-c:a", "libvorbis", str(source)
    )
    done = transcode(source)
    assert done.plan.duration_s == pytest.approx(samples / 44100, abs=0.06)
