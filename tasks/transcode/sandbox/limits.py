"""Limits on the resources that a file may use.

If a file exceeds one, it is rejected, its child process ends, or (captions) the excess is left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

MAX_DURATION_S = 12 * 3600
"""Maximum duration: four times the longest ordinary lecture."""

MAX_FRAMES = MAX_DURATION_S * 120
"""Maximum number of frames: MAX_DURATION_S at 120 frames per second."""

MAX_GAP_S = 3600
"""Maximum time between two frames; a longer gap comes from damaged timestamps."""

MAX_SOURCE_PX = 8192 * 8192
"""Maximum number of pixels of a source frame; also passed to ffmpeg as -max_pixels."""

MIN_SOURCE_SIDE_PX = 16
"""Minimum width and height of a source frame: one H.264 macroblock."""

MAX_CAPTION_TRACKS = 32
MAX_CUE_BYTES = 64 * 1024
MAX_CAPTION_CHARACTERS = 2_000_000
"""Maximum text of all captions of a source together: 12 h of fast speech is about 650,000
characters.
"""

PROBE_OUTPUT_BYTES = 256 * 1024 * 1024
"""Maximum size of a probe's output; 12 h at 120 frames per second need about 60 MiB."""

_MIB = 1024 * 1024


@dataclass(frozen=True)
class ChildLimits:
    """Resource limits of one child process; see setrlimit(2).

    `deadline_s` is wall time and is enforced by the parent.
    """

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    deadline_s: float

    def as_rlimits(self) -> dict[str, int]:
        """Return the limits that the kernel enforces, by the name of their RLIMIT constant."""
        return {
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_CPU": self.cpu_s,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_CORE": 0,
        }


def probe_limits(source_bytes: int) -> ChildLimits:
    """Return limits for reading a whole file once.

    The deadline is a minute plus a second per 10 MB, for a slow disk.
    """
    deadline_s = 60 + source_bytes / 10_000_000
    return ChildLimits(memory_bytes=3072 * _MIB, cpu_s=int(deadline_s), file_bytes=0, deadline_s=deadline_s)


def decode_limits(media_s: float) -> ChildLimits:
    """Return limits for decoding `media_s` seconds of our own output.

    That is at most 1080p at 60 frames per second.
    """
    deadline_s = 60 + 4 * media_s
    return ChildLimits(
        memory_bytes=3072 * _MIB,
        cpu_s=int(deadline_s) * (os.cpu_count() or 1),
        file_bytes=0,
        deadline_s=deadline_s,
    )


def encode_limits(*, media_s: float, source_px: int, output_bps: int) -> ChildLimits:
    """Return limits for encoding `media_s` seconds of a source with `source_px` pixels per frame.

    A 1080p ladder of four rungs was measured at 1.01 CPU s per media second and 0.9 GiB. The
    deadline allows 40 times that on one core, for larger frames and slower machines. Memory is
    limited as address space, most of which is never touched.
    """
    deadline_s = 300 + 40 * media_s
    return ChildLimits(
        memory_bytes=6144 * _MIB + 96 * source_px,
        cpu_s=int(deadline_s) * (os.cpu_count() or 1),
        file_bytes=64 * _MIB + int(2 * media_s * output_bps / 8),
        deadline_s=deadline_s,
    )
