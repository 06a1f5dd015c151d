"""One second of every codec in every container: ffmpeg can write these files, so the engine must read them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.media.clips import numbers_filter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_QUICK_VP = ("-deadline", "realtime", "-cpu-used", "8")
VIDEO_CODECS: dict[str, tuple[str, ...]] = {
    "h264": ("libx264", "-preset", "ultrafast"),
    "hevc": ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "av1": ("libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"),
    "vp8": ("libvpx", *_QUICK_VP),
    "vp9": ("libvpx-vp9", *_QUICK_VP),
    "mpeg1": ("mpeg1video",),
    "mpeg2": ("mpeg2video",),
    "mpeg4": ("mpeg4",),
    "xvid": ("libxvid",),
    "msmpeg4": ("msmpeg4",),
    "msmpeg4v2": ("msmpeg4v2",),
    "wmv1": ("wmv1",),
    "wmv2": ("wmv2",),
    "flv1": ("flv",),
    "h263": ("h263", "-s", "176x144"),
    "theora": ("libtheora",),
    "mjpeg": ("mjpeg", "-pix_fmt", "yuvj420p"),
    "prores": ("prores_ks",),
    "dnxhr": ("dnxhd", "-profile:v", "dnxhr_lb", "-s", "320x180", "-pix_fmt", "yuv422p"),
    "dv": ("dvvideo", "-s", "720x576", "-pix_fmt", "yuv420p"),
    "ffv1": ("ffv1",),
    "huffyuv": ("huffyuv", "-pix_fmt", "yuv422p"),
    "utvideo": ("utvideo",),
    "png": ("png",),
    "qtrle": ("qtrle",),
    "cinepak": ("cinepak",),
    "svq1": ("svq1",),
    "jpeg2000": ("jpeg2000",),
    "rawvideo": ("rawvideo", "-pix_fmt", "uyvy422"),
    "snow": ("snow", "-strict", "-2"),
    "vvc": ("libvvenc", "-preset", "faster"),
    "zmbv": ("zmbv",),
}
AUDIO_CODECS: dict[str, tuple[str, ...]] = {
    "aac": ("aac",),
    "mp3": ("libmp3lame",),
    "mp2": ("mp2",),
    "ac3": ("ac3",),
    "eac3": ("eac3",),
    "opus": ("libopus",),
    "vorbis": ("libvorbis",),
    "flac": ("flac",),
    "alac": ("alac",),
    "pcm": ("pcm_s16le",),
    "pcm big": ("pcm_s16be",),
    "wma2": ("wmav2",),
    "amr": ("libopencore_amrnb", "-ar", "8000", "-ac", "1"),
    "dts": ("dca", "-strict", "-2"),
    "adpcm": ("adpcm_ms",),
    "speech": ("pcm_mulaw", "-ar", "8000"),
    "truehd": ("truehd", "-strict", "-2"),
}
CONTAINERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mp4": (
        ("h264", "hevc", "av1", "vp9", "mpeg2", "mpeg4", "mjpeg", "png", "vvc"),
        ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"),
    ),
    "mov": (
        (
            "h264",
            "hevc",
            "prores",
            "dnxhr",
            "mjpeg",
            "png",
            "qtrle",
            "svq1",
            "cinepak",
            "jpeg2000",
            "rawvideo",
            "dv",
            "h263",
        ),
        ("aac", "pcm", "pcm big", "alac", "speech"),
    ),
    "m4v": (("h264", "mpeg4"), ("aac",)),
    "3gp": (("h263", "mpeg4", "h264"), ("amr", "aac")),
    "mkv": (
        tuple(codec for codec in VIDEO_CODECS if codec not in {"dv", "h263"}),
        ("aac", "mp3", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "pcm", "dts", "truehd", "wma2"),
    ),
    "webm": (("vp8", "vp9", "av1"), ("opus", "vorbis")),
    "avi": (
        (
            "h264",
            "mpeg4",
            "xvid",
            "msmpeg4",
            "msmpeg4v2",
            "mjpeg",
            "huffyuv",
            "utvideo",
            "ffv1",
            "cinepak",
            "rawvideo",
            "dv",
            "wmv2",
            "zmbv",
        ),
        ("mp3", "pcm", "ac3", "adpcm", "speech", "mp2"),
    ),
    "ts": (("h264", "hevc", "mpeg2", "mpeg1", "mpeg4"), ("aac", "mp2", "ac3", "mp3", "opus")),
    "m2ts": (("h264", "mpeg2"), ("ac3",)),
    "flv": (("h264", "flv1"), ("aac", "mp3")),
    "ogv": (("theora", "vp8"), ("vorbis", "opus", "flac")),
    "wmv": (("wmv1", "wmv2", "msmpeg4", "h264"), ("wma2", "mp3")),
    "mpg": (("mpeg1", "mpeg2"), ("mp2", "ac3")),
    "vob": (("mpeg2",), ("ac3", "mp2")),
    "mxf": (("mpeg2", "dnxhr", "h264", "prores", "jpeg2000"), ("pcm",)),
}
"""By file extension: the video and the audio codecs that are common in the container."""


def make_pairs(folder: Path) -> Iterator[Path]:
    """Write and yield one file at a time.

    For each container: every video codec with its first audio codec, then every other audio codec
    with its first video codec. Pairs that this ffmpeg cannot write are left out.
    """
    for ending, (video_codecs, audio_codecs) in CONTAINERS.items():
        pairs = [(video, audio_codecs[0]) for video in video_codecs]
        pairs += [(video_codecs[0], audio) for audio in audio_codecs[1:]]
        for video, audio in pairs:
            path = folder / f"{video}-{audio.replace(' ', '-')}.{ending}"
            if _made(path, VIDEO_CODECS[video], AUDIO_CODECS[audio]):
                yield path
            path.unlink(missing_ok=True)


def _made(path: Path, video: tuple[str, ...], audio: tuple[str, ...]) -> bool:
    command = [
        *(ffmpeg_binary(), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", numbers_filter("25", "160x96")),
        *("-f", "lavfi", "-i", "sine=440:r=48000:d=1", "-vf", "trim=end_frame=25"),
        *("-c:v", *video, "-c:a", *audio, str(path)),
    ]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
