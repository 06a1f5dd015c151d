"""Every limit on what a file may cost. A file that passes one of them is refused or ended, never served for longer."""

from __future__ import annotations

import os
from dataclasses import dataclass

MAX_DURATION_S = 12 * 3600
"""Longest video accepted: four times the longest ordinary lecture."""

MAX_FRAMES = MAX_DURATION_S * 120
"""Most pictures counted before giving up: MAX_DURATION_S at 120 pictures a second."""

MAX_GAP_S = 3600
"""Longest time one picture may stand; a longer gap comes from broken timestamps."""

MAX_SOURCE_PX = 8192 * 8192
"""Largest source picture decoded; ffmpeg gets it too, as -max_pixels."""

MIN_SOURCE_SIDE_PX = 16
"""Smallest source side: one H.264 macroblock."""

MAX_CAPTION_TRACKS = 32
MAX_CUE_BYTES = 64 * 1024
MAX_CAPTION_CHARACTERS = 2_000_000
"""Most text taken from a source's captions, all tracks together: 12 h of fast speech are about 650,000 characters."""

PROBE_OUTPUT_BYTES = 256 * 1024 * 1024
"""Most bytes a probe may answer; 12 h at 120 pictures a second need about 60 MiB."""

_MIB = 1024 * 1024


@dataclass(frozen=True)
class ChildLimits:
    """What one child process may use; see setrlimit(2). `deadline_s` is wall time, watched by the parent."""

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    deadline_s: float

    def as_rlimits(self) -> dict[str, int]:
        """Return the limits that the kernel holds, by the name of their RLIMIT constant."""
        return {
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_CPU": self.cpu_s,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_CORE": 0,
        }


def probe_limits(source_bytes: int) -> ChildLimits:
    """Return limits for reading a whole file once: a minute, and a second per 10 MB of slow disk."""
    deadline_s = 60 + source_bytes / 10_000_000
    return ChildLimits(memory_bytes=3072 * _MIB, cpu_s=int(deadline_s), file_bytes=0, deadline_s=deadline_s)


def preview_limits(source_bytes: int) -> ChildLimits:
    """Return limits for copying the streams of a file once."""
    limits = probe_limits(source_bytes)
    return ChildLimits(
        memory_bytes=limits.memory_bytes,
        cpu_s=limits.cpu_s,
        file_bytes=64 * _MIB + 2 * source_bytes,
        deadline_s=limits.deadline_s,
    )


def decode_limits(media_s: float) -> ChildLimits:
    """Return limits for decoding `media_s` seconds of our own output, of at most 1080p and 60 pictures a second."""
    deadline_s = 60 + 4 * media_s
    return ChildLimits(
        memory_bytes=3072 * _MIB,
        cpu_s=int(deadline_s) * (os.cpu_count() or 1),
        file_bytes=0,
        deadline_s=deadline_s,
    )


def encode_limits(*, media_s: float, source_px: int, output_bps: int) -> ChildLimits:
    """Return limits for encoding `media_s` seconds of a source whose pictures have `source_px` pixels.

    One 1080p ladder of four rungs was measured at 1.01 CPU s per media second and 0.9 GiB. The deadline allows 40 times
    that on one core, for larger pictures and slower machines; memory counts address space, most of it never touched.
    """
    deadline_s = 300 + 40 * media_s
    return ChildLimits(
        memory_bytes=6144 * _MIB + 96 * source_px,
        cpu_s=int(deadline_s) * (os.cpu_count() or 1),
        file_bytes=64 * _MIB + int(2 * media_s * output_bps / 8),
        deadline_s=deadline_s,
    )
