"""The demo's sample: over four minutes of a test picture with a running clock, and a beep each second. Three units of video."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import imageio_ffmpeg

from project.local.errors import StackError

LENGTH_S = 250

_PICTURE = f"testsrc=size=854x480:rate=25:duration={LENGTH_S}:decimals=2"
_SOUND = f"sine=frequency=330:beep_factor=4:sample_rate=48000:duration={LENGTH_S}"


def sample_video(folder: Path) -> Path:
    """The sample, made at the first call. Raises StackError where ffmpeg cannot make it."""
    sample = folder / "sample.mp4"
    if sample.exists():
        return sample
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"sample.{os.getpid()}.mp4"
    try:
        _make(unfinished)
        unfinished.rename(sample)
    finally:
        unfinished.unlink(missing_ok=True)
    return sample


def _make(path: Path) -> None:
    made = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"),
            *("-f", "lavfi", "-i", _PICTURE, "-f", "lavfi", "-i", _SOUND),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p", "-g", "50"),
            *("-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        message = f"The sample could not be made: {made.stderr.strip()}"
        raise StackError(message)
