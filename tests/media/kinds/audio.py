"""Audio in odd layouts, and audio whose timestamps waver."""

from __future__ import annotations

import array
import math
from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg
from tests.media.kinds import claps
from tests.media.kinds.claps import beeps, clap, copied
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.media.runs import Transcoded

_AMBISONIC = ("-c:a", "libopus", "-mapping_family", "2", "-b:a", "256k")
_UNNAMED = ("-c:a", "libopus", "-mapping_family", "255", "-b:a", "256k")


def _layout(name: str, channels: int, layout: str, audio: Sequence[str], video: Sequence[str] = claps.H264) -> Upload:
    def make(path: Path) -> None:
        clap(path, video, audio, tones=beeps(channels=channels, layout=layout.replace(" ", "\\ ")))

    return Upload(name, make, Expected())


LAYOUTS = (
    _layout("ambisonic.mkv", 4, "ambisonic 1", _AMBISONIC),
    _layout("ambisonic.webm", 4, "ambisonic 1", _AMBISONIC, claps.VP8),
    _layout("ambisonic.mp4", 4, "ambisonic 1", _AMBISONIC),
    _layout("ambisonic of order 2.mkv", 9, "ambisonic 2", _AMBISONIC),
    _layout("ambisonic of order 3.webm", 16, "ambisonic 3", _AMBISONIC, claps.VP9),
    _layout("ambisonic.mov", 4, "ambisonic 1", claps.PCM),
    _layout("channels without places.mkv", 3, "3c", _UNNAMED),
    _layout("twelve.mov", 12, "12c", claps.PCM),
    _layout("sixteen.mxf", 16, "16c", claps.PCM, claps.MPEG2),
    _layout("22.2.mkv", 24, "22.2", claps.PCM),
    _layout("7.1.4.mov", 12, "7.1.4", claps.PCM),
    _layout("octagonal.mkv", 8, "octagonal", claps.FLAC),
    _layout("6.1.mkv", 7, "6.1", claps.FLAC),
    _layout("hexagonal.mov", 6, "hexagonal", claps.PCM),
    _layout("2.1.mov", 3, "2.1", claps.PCM),
    _layout("quad.ts", 4, "4.0", claps.AC3),
)

_TONE_HZ = 440
_OFF_HZ = 0.3
"""A hundredth of a semitone, which nobody notices."""


def _wavering(done: Transcoded) -> Sequence[str]:
    """Return how far the pitch of a steady tone wavers, if anyone would notice."""
    samples = array.array("h", ffmpeg("-i", str(done.joined("audio")), "-ac", "1", "-f", "s16le", "-"))
    rate_hz, window = 48_000, 4800
    found = []
    for first in range(window, len(samples) - 2 * window, window):
        part = samples[first : first + window]
        rises = [at + part[at] / (part[at] - part[at + 1]) for at in range(window - 1) if part[at] < 0 <= part[at + 1]]
        if len(rises) > 2:  # a whole period
            found.append(abs((len(rises) - 1) * rate_hz / (rises[-1] - rises[0]) - _TONE_HZ))
    off = sorted(found)[len(found) * 99 // 100] if found else math.inf
    return [f"the pitch wavers by {off:.1f} Hz"] if off > _OFF_HZ else []


def _jittered(
    name: str, times: str, audio: Sequence[str], video: Sequence[str] = claps.H264, rate_hz: int = 48_000
) -> Upload:
    def make(path: Path) -> None:
        plain = path.parent / f"plain{path.suffix}"
        clap(plain, video, audio, tones=f"sine=f={_TONE_HZ}:r={rate_hz}:d=4")
        copied(plain, path, "-bsf:a", f"setts=ts='{times}'")

    return Upload(name, make, Expected(beeps_s=None, within_s=0.06, also=_wavering))


def _early_or_late(by_s: float) -> str:
    return f"TS+({by_s}/TB)*(mod(N*7\\,3)-1)"


_OPUS_60 = (*claps.OPUS, "-frame_duration", "60")
JITTER = (
    _jittered("opus, 9 ms.mkv", _early_or_late(0.009), _OPUS_60),
    _jittered("opus, 9 ms.webm", _early_or_late(0.009), _OPUS_60, claps.VP8),
    _jittered("opus of 20 ms, 5 ms.webm", _early_or_late(0.005), claps.OPUS, claps.VP9),
    _jittered("vorbis, 8 ms.webm", _early_or_late(0.008), claps.VORBIS, claps.VP8),
    _jittered("aac, 9 ms.mkv", _early_or_late(0.009), claps.AAC),
    _jittered("aac, 9 ms.flv", _early_or_late(0.009), claps.AAC, rate_hz=44_100),
    _jittered("aac, 9 ms.ts", _early_or_late(0.009), claps.AAC),
    _jittered("mp2, 9 ms.ts", _early_or_late(0.009), claps.MP2, claps.MPEG2),
    _jittered("mp3, 9 ms.mkv", _early_or_late(0.009), claps.MP3),
    _jittered("flac, 9 ms.mkv", _early_or_late(0.009), claps.FLAC),
    _jittered("mp2, 11 ms.ts", _early_or_late(0.011), claps.MP2, claps.MPEG2),
    _jittered("mp2, 11 ms.mkv", _early_or_late(0.011), claps.MP2),
    _jittered("mp2, 11 ms.vob", _early_or_late(0.011), claps.MP2, claps.MPEG2),
    _jittered("mp2 at 44.1 kHz, 12 ms.mkv", _early_or_late(0.012), claps.MP2, rate_hz=44_100),
    _jittered("mp2 at random, 23 ms.mkv", "TS+(0.023/TB)*(random(0)-0.5)", claps.MP2),
    _jittered("opus, 15 ms.mkv", _early_or_late(0.015), _OPUS_60),
    _jittered("slow waves.mkv", "TS+(0.009/TB)*sin(N/5)", claps.AAC),
    _jittered("at random.mkv", "TS+(0.018/TB)*(random(0)-0.5)", claps.AAC),
)
