"""Audio and video stay in sync: a flash and a beep every second, from the first to the last, over many units."""

from __future__ import annotations

import array
import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import PROFILES, ProfileRung
from tests.media.clips import ffmpeg, on_grid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

RATE = Fraction(30000, 1001)
DECODED_HZ = 8000
LOUD = 4000
TINY = dataclasses.replace(PROFILES["fast"], rungs=(ProfileRung(32, 23, 200_000),))
"""Units of 60 s, as always, with frames that cost next to nothing."""


def _clip(path: Path, length_s: int) -> Path:
    """Write a black clip with a white frame at or right after each whole second, and a 60 ms tone at the second."""
    flash = f"color=black:s=2x2:r={RATE},geq=lum='16+219*lt(mod(N*1001,30000),1001)':cb=128:cr=128"
    beep = f"aevalsrc=lt(mod(t\\,1)\\,0.06)*sin(2*PI*1000*t)*0.5:s=48000:d={length_s}"
    ffmpeg(
        *("-f", "lavfi", "-i", f"{flash},scale=32:32:flags=neighbor,setsar=1,format=yuv420p"),
        *("-f", "lavfi", "-i", beep, "-t", str(length_s), "-c:v", "libx264", "-preset", "ultrafast", "-g", "250"),
        *("-c:a", "flac", str(path)),
    )
    return path


def _flashes_s(done: Transcoded) -> list[float]:
    """Return the time of each white frame, or of the first one of several in a row."""
    arguments = (
        "-vf",
        f"{on_grid(done.plan)},scale=1:1:flags=area,format=gray",
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    )
    levels = ffmpeg("-i", str(done.joined(done.rungs[0])), *arguments)
    white = [at for at, level in enumerate(levels) if level > 127 and (at == 0 or levels[at - 1] <= 127)]
    return [float(at / RATE) for at in white]


def _beeps_s(done: Transcoded) -> Iterator[float]:
    """Yield the time at which the tone starts, around each whole second."""
    raw = ffmpeg("-i", str(done.joined("audio")), "-ac", "1", "-ar", str(DECODED_HZ), "-f", "s16le", "-")
    samples = array.array("h", raw)
    for second in range(len(samples) // DECODED_HZ):
        start = max(0, second * DECODED_HZ - DECODED_HZ // 4)
        window = samples[start : start + DECODED_HZ // 2]
        yield next((start + at) / DECODED_HZ for at, level in enumerate(window) if abs(level) > LOUD)


@pytest.mark.parametrize(
    "length_s",
    [60, pytest.param(3 * 3600, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
    ids=["a minute", "three hours"],
)
def test_flash_and_beep_stay_within_10_ms_when_the_video_is_long(
    length_s: int, tmp_path: Path, transcode: Transcode
) -> None:
    done = transcode(_clip(tmp_path / "a.mkv", length_s), TINY)
    assert len(done.plan.video_units) == length_s // 60
    assert done.plan.duration_s == pytest.approx(length_s, abs=float(1 / RATE))
    flashes, beeps = _flashes_s(done), list(_beeps_s(done))
    assert len(flashes) == len(beeps) == length_s
    # The clip's own flashes are on the first frame at or after the second, up to a thirtieth of a
    # second late. The very first beep is in the frame that primes the decoder, which contains no
    # audio.
    late = [float(-(-second * RATE // 1) / RATE) - second for second in range(length_s)]
    off = [beep - (flash - due) for flash, beep, due in zip(flashes, beeps, late, strict=True)][1:]
    assert max(map(abs, off)) <= 0.010
    tenth = length_s // 10
    assert abs(sum(off[-tenth:]) - sum(off[:tenth])) / tenth <= 0.001
    # In sync with the clock as well as with each other.
    assert max(abs(beep - second) for second, beep in enumerate(beeps) if second) <= 0.010
