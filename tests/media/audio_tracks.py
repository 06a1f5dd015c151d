"""Sources with several audio tracks, each of which has a tone of its own, and what an output has of them."""

from __future__ import annotations

import array
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.media.clips import H264, ffmpeg, numbers_filter

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ = 48_000


@dataclass(frozen=True)
class Tone:
    """An audio track: a tone, or silence if `hz` is 0."""

    hz: int
    language: str = ""
    title: str = ""
    disposition: str = "0"
    start_s: float = 0.0
    length_s: float = 3.0
    filters: str = "aformat=channel_layouts=stereo"
    codec: tuple[str, ...] = ("pcm_s16le",)

    @property
    def source(self) -> str:
        """Of lavfi: loud enough that a gain of less than 10 dB follows, so the limiter does nothing."""
        return f"aevalsrc=0.2*sin({self.hz}*2*PI*t):s={RATE_HZ}:d={self.length_s},{self.filters}"


MICROPHONE = "aformat=channel_layouts=mono"


def camera(place: str) -> str:
    """Return the filters that give a microphone the place of one channel of a stereo pair: `FL` or `FR`."""
    return f"{MICROPHONE},channelmap=map=0:channel_layout={place}"


def with_tones(path: Path, *tones: Tone, seconds: int = 3, video: bool = True, codec: tuple[str, ...] = H264) -> Path:
    """Write numbered frames with these tracks, or the tracks alone."""
    frames = ("-f", "lavfi", "-i", f"{numbers_filter('30')},trim=end_frame={30 * seconds}") if video else ()
    inputs = [part for tone in tones for part in ("-itsoffset", str(tone.start_s), "-f", "lavfi", "-i", tone.source)]
    maps = [part for number in range(len(tones) + video) for part in ("-map", str(number))]
    about: list[str] = []
    for number, tone in enumerate(tones):
        about += [f"-c:a:{number}", *tone.codec, f"-disposition:a:{number}", tone.disposition]
        about += [f"-metadata:s:a:{number}", f"language={tone.language}"] if tone.language else []
        about += [f"-metadata:s:a:{number}", f"title={tone.title}"] if tone.title else []
    ffmpeg(*frames, *inputs, *maps, *(codec if video else ()), *about, str(path))
    return path


def levels_db(path: Path, *tones_hz: int, channel: int = 0, start_s: float = 0.5, end_s: float = 2.5) -> list[int]:
    """Return the level of each tone in one channel of a file, in dB of full scale; -99 if it is not there."""
    raw = ffmpeg("-i", str(path), "-af", f"pan=mono|c0=c{channel}", "-ar", str(RATE_HZ), "-f", "f32le", "pipe:1")
    samples = array.array("f", raw)[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    found = []
    for hz in tones_hz:
        step = 2 * math.pi * hz / RATE_HZ
        real = sum(sample * math.cos(step * at) for at, sample in enumerate(samples))
        imaginary = sum(sample * math.sin(step * at) for at, sample in enumerate(samples))
        amplitude = 2 * math.hypot(real, imaginary) / max(1, len(samples))
        found.append(round(20 * math.log10(amplitude)) if amplitude > 10**-3 else -99)
    return found
