"""Tiny clips whose frames show their number, and a reader of these numbers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.transcode import Plan

BITS = 10
WIDTH_PX, HEIGHT_PX = 160, 90

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "48", "-x264-params", "open-gop=1:b-adapt=0")


def ffmpeg(*arguments: str) -> bytes:
    """Run ffmpeg and return its standard output; any error message fails the test."""
    run = subprocess.run(
        [ffmpeg_binary(), "-nostdin", "-v", "error", "-y", *arguments], capture_output=True, check=False, timeout=120
    )
    assert (run.returncode, run.stderr) == (0, b""), run.stderr.decode()
    return run.stdout


def numbers_filter(rate: str, size: str = f"{WIDTH_PX}x{HEIGHT_PX}") -> str:
    """Return a lavfi source whose frame n shows n in binary: one vertical bar per bit, white for 1, lowest bit left."""
    # One pixel per bit, enlarged: cheap to generate, and it survives scaling and encoding.
    return (
        f"color=black:s={2 * BITS}x2:r={rate},geq=lum='16+219*mod(floor(N/pow(2,floor(X/2))),2)':cb=128:cr=128,"
        f"scale={size.replace('x', ':')}:flags=neighbor,setsar=1,format=yuv420p"
    )


def make_clip(  # each parameter is one property of the clip
    path: Path,
    *,
    frames: int = 150,
    rate: str = "30",
    codec: Sequence[str] = H264,
    audio_s: float | None = None,
    filters: str = "null",
    size: str = f"{WIDTH_PX}x{HEIGHT_PX}",
    extra: Sequence[str] = (),
) -> Path:
    """Write a clip of numbered frames, to which `filters` are applied; `audio_s` adds that many seconds of a tone."""
    tone = () if audio_s is None else ("-f", "lavfi", "-i", f"sine=440:r=48000:d={audio_s}")
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter(rate, size), *tone),
        *("-vf", f"trim=end_frame={frames},{filters}", *codec, *extra, str(path)),
    )
    return path


def on_grid(plan: Plan) -> str:
    """Return the filters that repeat each frame of an output for as long as it lasts.

    Containers store durations in the order of decoding, so the last frame may seem to last longer.
    """
    return f"fps={plan.rate.numerator}/{plan.rate.denominator}:start_time=0,trim=end_frame={plan.frames}"


def read_numbers(path: Path, plan: Plan) -> list[int]:
    """Return the number that an output shows in each frame period of the plan, however long its frames last."""
    shape = f"{BITS}:1"
    raw = ffmpeg(
        *("-i", str(path), "-vf", f"{on_grid(plan)},scale={shape}:flags=area,format=gray"),
        *("-fps_mode", "passthrough"),
        *("-f", "rawvideo", "pipe:1"),
    )
    rows = [raw[at : at + BITS] for at in range(0, len(raw), BITS)]
    return [sum((level > 127) << bit for bit, level in enumerate(row)) for row in rows]
