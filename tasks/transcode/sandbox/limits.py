"""Limits on the resources that a file may use.

If a file exceeds one, it is rejected, its child process ends, or (captions) the excess is left out.
"""

from __future__ import annotations

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

MAX_AUDIO_TRACKS = 8
"""Maximum number of audio tracks that are published. Eight take 0.16 CPU seconds per second, a twentieth of what the
video takes, and as much storage as a rung of 1 Mbit/s. A DVD has at most eight (its streams are numbered 0 to 7);
XDCAM cameras record four or eight.
"""

MAX_CAPTION_TRACKS = 32
MAX_CUE_BYTES = 64 * 1024
MAX_CUES = MAX_DURATION_S
"""Maximum number of cues of a caption track: one for each second of the longest video. Subtitles are
displayed for a second at least, so that people can read them.
"""
MAX_CAPTION_BYTES = 4_000_000
"""Maximum WebVTT of all caption tracks together; in the plan, which is stored in a row, they take
about as much. Twelve hours of fast speech, with MAX_CUES, are 2 MB; three hours are 300 kB, in a
dozen languages less than the limit.
"""

MAX_CHAPTERS = MAX_DURATION_S // 60
"""Maximum number of chapters: one for each minute of the longest video."""
MAX_CHAPTER_TITLE_CHARS = 200
"""Maximum length of a chapter's title: two lines of a page. Longer ones are shortened."""

PROBE_OUTPUT_BYTES = 256 * 1024 * 1024
"""Maximum size of a probe's output; 12 h at 120 frames per second need about 60 MiB."""

MAX_IDLE_S = 120.0
"""Seconds that a child may sleep without progress (see `idle`) before it counts as hung.

Programs that only read a file and compute never wait for anything but the disk and the processor,
which do not count, so a second would do. Two minutes allow for folders on a network file system,
where waiting for the server may look like sleep. Less than every stage limit of the bridge
(`stage_limits_s`), so that a container reports its hung child before it is itself replaced.
"""

_MIB = 1024 * 1024
_FULL_HD_PX = 1920 * 1080


@dataclass(frozen=True)
class ChildLimits:
    """Resource limits of one child process; see setrlimit(2).

    CPU time is the only limit on how long a child may run: a slow disk or a machine that stands
    still takes time, but no CPU time. `idle_s` ends a child that does nothing at all; the parent
    enforces it.
    """

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    idle_s: float = MAX_IDLE_S

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

    Measured: 0.4 CPU s to start, 1.4 s for each GB of MP4 and 3.5 s of MPEG-TS, 11 s for each
    million packets. Twelve hours at 120 frames per second have 5.2 million frames. Three minutes
    plus a second per 5 MB allow for cores that are several times slower.
    """
    return ChildLimits(memory_bytes=3072 * _MIB, cpu_s=180 + source_bytes // 5_000_000, file_bytes=0)


def decode_limits(media_s: float) -> ChildLimits:
    """Return limits for decoding `media_s` seconds of our own output.

    That is at most 1080p at 60 frames per second: 16 CPU s per second are 30 ms for each frame.
    """
    return ChildLimits(memory_bytes=3072 * _MIB, cpu_s=120 + int(16 * media_s), file_bytes=0)


def encode_limits(*, media_s: float, source_px: int, output_bps: int, skipped_s: float = 0) -> ChildLimits:
    """Return limits for encoding `media_s` seconds of a source with `source_px` pixels per frame.

    Before them, `skipped_s` seconds are only decoded: 1080p at 60 frames per second takes half a CPU
    second per media second. Twenty times that is allowed.

    A 1080p ladder of four rungs was measured at 1.01 CPU s per media second and 0.9 GiB; a film at
    60 frames per second takes seven times as much. Eighty times the former allow for slower cores,
    and as much again for each further 1080p of a larger frame. Memory is limited as address space,
    most of which is never touched.
    """
    return ChildLimits(
        memory_bytes=6144 * _MIB + 96 * source_px,
        cpu_s=600 + int((80 * media_s + 10 * skipped_s) * max(1.0, source_px / _FULL_HD_PX)),
        file_bytes=64 * _MIB + int(2 * media_s * output_bps / 8),
    )
