"""Loudness of the audio, and the gain that brings it to a target."""

from __future__ import annotations

import math
from dataclasses import dataclass

SILENCE_LUFS = -70.0
"""ITU-R BS.1770-5, annex 1: blocks below this are not counted, so silence has this loudness."""

MAX_GAIN_DB = 24.0
"""Beyond this, mostly noise is amplified."""

MAX_LIMITED_DB = 9.0
"""How far peaks may rise above the limiter's ceiling. The limiter holds back the highest ones, such as a knock on
the microphone, for milliseconds; if it had to do more, that would be noticed.
"""

CEILING_DB = -2.0
"""Of the samples that are encoded, so that true peaks stay below -1 dBTP (EBU R 128): AAC and the reconstruction
between samples raised those of 13 recordings of speech, music and animals to at most -1.7 dBTP (measured). Only
bursts of white noise rise by up to 3.4 dB.
"""

_SILENT_DB = -60.0
_QUIET_LUFS = -40.0
_CLIPPED_SHARE = 0.001
"""Measured, of all samples at full scale: recordings that were clipped by 3 dB have over 0.5 %, loud ones that were
not have less than 0.001 %, also after lossy compression.
"""
_ONE_CHANNEL_LU = 10 * math.log10(2)
"""A signal in both channels is louder by this than in one (ITU-R BS.1770-5: the channels' energies are added)."""


@dataclass(frozen=True)
class AudioLevel:
    """Measured of the audio, mixed to stereo, before any gain."""

    loudness_lufs: float
    """Integrated loudness (EBU R 128); `SILENCE_LUFS` if there is nothing but silence."""
    true_peak_db: float
    """Highest true peak in dBTP."""
    clipped_share: float
    """Share of the samples that reach full scale."""
    is_one_sided: bool
    """Whether one channel is silent and the other is not."""

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing but silence: no block that is counted, and no peak above -60 dBTP."""
        return self.loudness_lufs <= SILENCE_LUFS and self.true_peak_db < _SILENT_DB

    @property
    def is_quiet(self) -> bool:
        """Whether there is something, but so quiet that its noise will be noticed."""
        return SILENCE_LUFS < self.loudness_lufs < _QUIET_LUFS

    @property
    def is_clipped(self) -> bool:
        """Whether the recording was distorted because its level was too high."""
        return self.clipped_share > _CLIPPED_SHARE


def gain_db(level: AudioLevel, target_lufs: float) -> float:
    """Return the gain that brings the audio to `target_lufs`, in tenths of a decibel.

    It is smaller if peaks would rise too far above the limiter's ceiling, or if the audio is nearly
    silent.
    """
    if level.loudness_lufs <= SILENCE_LUFS:
        return 0.0
    played_lufs = level.loudness_lufs + (_ONE_CHANNEL_LU if level.is_one_sided else 0.0)
    highest_db = max(0.0, CEILING_DB + MAX_LIMITED_DB - level.true_peak_db)
    return round(min(target_lufs - played_lufs, highest_db, MAX_GAIN_DB), 1)
