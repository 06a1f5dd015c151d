"""Sources for tests of containers that fetch a part: one recording of noise in several formats."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

from tasks.transcode import PROFILES, ProfileRung, encode_audio, encode_video, make_plan, probe_source, with_reads
from tests.media.clips import ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.transcode import ByteRanges, Plan, UnitOutput

PROFILE = dataclasses.replace(
    PROFILES["fast"],
    rungs=(ProfileRung(60, 30, 100_000),),
    preset="ultrafast",
    gop_s=0.5,
    segment_s=1.0,
    unit_segments=2,
)
"""Units of two seconds, quickly encoded."""

FORMATS: dict[str, tuple[str, ...]] = {
    "index first.mp4": ("-movflags", "+faststart"),
    "index last.mp4": (),
    "index last.mov": (),
    "cues.mkv": (),
    "stream.ts": (),
}
"""Name of the file -> arguments of its muxer, for the formats of which a part is enough."""


def make_recording(path: Path, *, seconds: int, rate_bps: int = 3_500_000, arguments: tuple[str, ...] = ()) -> Path:
    """Write a recording with audio, key frames each two seconds, reordered frames, and about this bit rate."""
    ffmpeg(
        *("-f", "lavfi", "-i", f"nullsrc=s=160x90:r=30:d={seconds},geq=random(1)*255:128:128"),
        *("-f", "lavfi", "-i", f"sine=r=48000:d={seconds}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "60", "-b:v", str(rate_bps), "-c:a", "aac"),
        *(*arguments, str(path)),
    )
    return path


def remuxed(recording: Path, path: Path, *arguments: str, loops: int = 0) -> Path:
    """Write the same packets in another format, several times over if asked for."""
    ffmpeg("-stream_loop", str(loops), "-i", str(recording), "-map", "0", "-c", "copy", *arguments, str(path))
    return path


def planned(path: Path, *, most_read: float = 100, whole_below_bytes: int = 0, profile: object = PROFILE) -> Plan:
    """Return a plan with what each unit reads, also for a small file."""
    source = probe_source(path)
    plan = make_plan(source, profile, threads=1)  # type: ignore[arg-type]
    return with_reads(
        plan, source, path, stop=threading.Event(), whole_below_bytes=whole_below_bytes, most_read=most_read
    )


def sparse_copy(path: Path, copy: Path, ranges: ByteRanges) -> Path:
    """Write the ranges of a file at the same offsets, with holes between them."""
    with path.open("rb") as file, copy.open("wb") as sparse:
        sparse.truncate(path.stat().st_size)
        for first, end in ranges:
            file.seek(first)
            sparse.seek(first)
            sparse.write(file.read(end - first))
    return copy


def encoded(path: Path, plan: Plan, index: int, folder: Path, present: ByteRanges | None = None) -> UnitOutput:
    """Encode a video unit, and return its output without its CPU time."""
    folder.mkdir(exist_ok=True)
    output = encode_video(path, plan, index, folder, progress=lambda _: None, stop=threading.Event(), present=present)
    return dataclasses.replace(output, cpu_s=0)


def encoded_audio(path: Path, plan: Plan, index: int, folder: Path, present: ByteRanges | None = None) -> UnitOutput:
    """Encode an audio unit, and return its output without its CPU time."""
    folder.mkdir(exist_ok=True)
    output = encode_audio(path, plan, index, folder, progress=lambda _: None, stop=threading.Event(), present=present)
    return dataclasses.replace(output, cpu_s=0)
