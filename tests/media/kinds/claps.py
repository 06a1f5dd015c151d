"""Clips of claps: once a second a white square lights up on grey for a quarter of a second, together with a tone.

An output shows by them what it lost, held, stretched, cut or moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZE_PX = (320, 180)
SECONDS = 4

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "30")
H264_B = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-g", "30", "-x265-params", "log-level=none:bframes=0")
AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "30", "-b:v", "300k")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "30")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "30")
MPEG1 = ("-c:v", "mpeg1video", "-q:v", "3", "-bf", "0", "-g", "15")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "15")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "3", "-g", "30")
MJPEG = ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p")
PRORES = ("-c:v", "prores_ks", "-profile:v", "0", "-pix_fmt", "yuv422p10le")
THEORA = ("-c:v", "libtheora", "-q:v", "8", "-g", "30")
FLV1 = ("-c:v", "flv", "-q:v", "3", "-g", "30")
WMV2 = ("-c:v", "wmv2", "-q:v", "3", "-g", "30")

AAC = ("-c:a", "aac", "-b:a", "96k")
MP3 = ("-c:a", "libmp3lame", "-b:a", "96k")
MP2 = ("-c:a", "mp2")
AC3 = ("-c:a", "ac3")
OPUS = ("-c:a", "libopus")
VORBIS = ("-c:a", "libvorbis")
PCM = ("-c:a", "pcm_s16le")
FLAC = ("-c:a", "flac")
WMA = ("-c:a", "wmav2")


def square_px(size: tuple[int, int], pixel_aspect: float = 1) -> tuple[int, int]:
    """Return width and height of the square as stored: half of the frame's shorter side as displayed."""
    side_px = min(size[0] * pixel_aspect, size[1]) / 2
    return round(side_px / pixel_aspect), round(side_px)


def flashes(
    seconds: float = SECONDS,
    *,
    size: tuple[int, int] = SIZE_PX,
    rate: str = "30",
    pixel_aspect: float = 1,
    first_s: float = 1,
) -> str:
    """Return the lavfi source of the frames; the square lights up at each whole second from `first_s` on."""
    width, height = square_px(size, pixel_aspect)
    lit = f"gte(t\\,{first_s - 0.001})*lt(mod(t+0.001\\,1)\\,0.25)"
    return (
        f"color=0x808080:s={size[0]}x{size[1]}:r={rate}:d={seconds},setsar={pixel_aspect},format=yuv420p,"
        f"drawbox=x=(iw-w)/2:y=(ih-h)/2:w={width}:h={height}:c=white:t=fill:enable={lit}"
    )


def beeps(
    seconds: float = SECONDS, *, channels: int = 1, layout: str = "", rate_hz: int = 48_000, first_s: float = 1
) -> str:
    """Return the lavfi source of the tones: 1 kHz in all channels."""
    tone = f"gte(t\\,{first_s - 0.0001})*lt(mod(t\\,1)\\,0.25)*sin(2000*PI*t)*0.4"
    form = f":c={layout}" if layout else ""
    return f"aevalsrc={'|'.join([tone] * channels)}:s={rate_hz}:d={seconds}{form}"


def clap(
    path: Path,
    video: Sequence[str] = H264,
    audio: Sequence[str] = AAC,
    *,
    frames: str = "",
    tones: str = "",
    filters: str = "null",
    extra: Sequence[str] = (),
) -> Path:
    """Write a clip from lavfi sources, or with the usual claps; no audio if there is no codec for it."""
    tone_input = ("-f", "lavfi", "-i", tones or beeps()) if audio else ()
    ffmpeg("-f", "lavfi", "-i", frames or flashes(), *tone_input, "-vf", filters, *video, *audio, *extra, str(path))
    return path


def copied(source: Path, path: Path, *options: str, inputs: Sequence[str] = ()) -> Path:
    """Copy all streams into another file: `inputs` are options for reading, `options` for writing."""
    ffmpeg(*inputs, "-i", str(source), "-map", "0", "-c", "copy", *options, str(path))
    return path


def with_beeps(source: Path, path: Path, audio: Sequence[str], tones: str, *options: str) -> Path:
    """Copy the video of a file, and add audio."""
    ffmpeg(
        *("-i", str(source), "-f", "lavfi", "-i", tones, "-map", "0:v", "-map", "1:a", "-c:v", "copy", *audio),
        *(*options, str(path)),
    )
    return path
