"""Sample videos, made by ffmpeg from its own test sources: nothing is downloaded."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from project.local.errors import StackError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A video that ffmpeg can make. `video` and `audio` are sources for its lavfi input, without a duration."""

    name: str
    video: str
    audio: str
    length_s: int


DEMO_SAMPLE = Sample(
    name="sample",
    video="testsrc=size=854x480:rate=25:decimals=2",
    audio="sine=frequency=330:beep_factor=4:sample_rate=48000",
    length_s=250,
)
"""Over four minutes of a test pattern with a running clock, and a beep each second: three units of video."""


def make_sample(sample: Sample, folder: Path) -> Path:
    """Return the sample as a file in `folder`; ffmpeg makes it at the first call. Raises StackError if it cannot."""
    path = folder / f"{sample.name}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{sample.name}.{os.getpid()}.mp4"
    try:
        _run_ffmpeg(sample, unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _run_ffmpeg(sample: Sample, path: Path) -> None:
    duration = f"duration={sample.length_s}"
    ran = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"),
            *("-f", "lavfi", "-i", f"{sample.video}:{duration}", "-f", "lavfi", "-i", f"{sample.audio}:{duration}"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p", "-g", "50"),
            *("-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        message = f"ffmpeg could not make the sample video: {ran.stderr.strip()}"
        raise StackError(message)
