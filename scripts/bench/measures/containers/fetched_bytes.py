"""Benchmark: bytes that one of several containers fetches of a large source, by format."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tasks.container.scratch import source as container_source
from tasks.container.scratch.source import SourceCopy
from tasks.transcode import PROFILES, ProfileRung, encode_video, make_plan, probe_source, with_reads
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.file_bucket import FileBucket

if TYPE_CHECKING:
    from tasks.transcode import ByteRanges, Plan

FORMATS: dict[str, tuple[str, ...]] = {
    "index first.mp4": ("-movflags", "+faststart"),
    "index last.mp4": (),
    "index last.mov": (),
    "cues.mkv": (),
    "stream.ts": (),
    "fragments.mp4": ("-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    "index.avi": (),
}
"""Name of the file -> arguments of its muxer. The last two are fetched whole."""

PROFILE = dataclasses.replace(PROFILES["fast"], rungs=(ProfileRung(60, 30, 100_000),), preset="ultrafast")
"""Units as long as those of the standard profile, quickly encoded."""

CONTAINERS = 4
FACTOR, ALLOWANCE_MIB = 1.3, 32
_MIB = 1024 * 1024
_CLIP_S, _CLIP_BPS = 60, 5_000_000


def measured(megabytes: int) -> list[dict[str, Any]]:
    """Return one row per format: what a container that does each fourth unit fetches."""
    with tempfile.TemporaryDirectory(prefix="fetched-") as folder:
        clip = Path(folder) / "clip.mp4"
        _ffmpeg(
            *("-f", "lavfi", "-i", f"nullsrc=s=192x108:r=30:d={_CLIP_S},geq=random(1)*255:128:128"),
            *("-f", "lavfi", "-i", f"sine=r=48000:d={_CLIP_S}", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"),
            *("-g", "150", "-b:v", str(_CLIP_BPS), "-c:a", "aac", str(clip)),
        )
        loops = max(1, megabytes * 1_000_000 // clip.stat().st_size)
        return [_row(clip, name, arguments, loops, Path(folder)) for name, arguments in FORMATS.items()]


def _row(clip: Path, name: str, arguments: tuple[str, ...], loops: int, folder: Path) -> dict[str, Any]:
    path = folder / name
    _ffmpeg("-stream_loop", str(loops - 1), "-i", str(clip), "-c", "copy", *arguments, str(path))
    bucket = FileBucket(path)
    with (
        patch.object(container_source, "sources_bucket", lambda: bucket),
        patch.object(container_source, "_local_path", lambda *_: None),
    ):
        row = {"format": name, **_fetched(path, bucket, folder)}
    path.unlink()
    sys.stderr.write(f"{row}\n")
    return row


def _fetched(path: Path, bucket: FileBucket, folder: Path) -> dict[str, Any]:
    source = probe_source(path)
    plan = make_plan(source, PROFILE, threads=1)
    began_s = time.monotonic()
    plan = with_reads(plan, source, path, stop=threading.Event())
    trial_s = time.monotonic() - began_s
    reads: Any = plan.reads
    indexes = range(CONTAINERS // 2, len(plan.video_units), CONTAINERS)
    frames = sum(plan.video_units[index].end_frame - plan.video_units[index].first_frame for index in indexes)
    share_bytes = source.size_bytes * frames / plan.frames
    with tempfile.TemporaryDirectory(dir=folder) as own:
        copy = SourceCopy("source", Path(own))
        present: dict[int, ByteRanges | None] = {}
        for index in indexes:
            present[index] = copy.fetch(
                reads.of_video(index),
                size_bytes=reads.size_bytes,
                reserve=_make_room,
                progress=lambda _: None,
                stop=threading.Event(),
            ).present
        fetched_bytes = bucket.served_bytes
        checked = [indexes[0], indexes[len(indexes) // 2], indexes[-1]]
        same = all(
            _encoded(Path(own) / "source", plan, index, Path(own), present[index])
            == _encoded(path, plan, index, Path(own), None)
            for index in checked
        )
    limit_bytes = FACTOR * share_bytes + ALLOWANCE_MIB * _MIB
    return {
        "size_mib": round(source.size_bytes / _MIB),
        "whole": reads.whole or "-",
        "units": f"{len(indexes)} of {len(plan.video_units)}",
        "share_mib": round(share_bytes / _MIB),
        "fetched_mib": round(fetched_bytes / _MIB),
        "of_share": round(fetched_bytes / share_bytes, 2),
        "of_limit": round(fetched_bytes / limit_bytes, 2),
        "same_bytes": same,
        "trial_s": round(trial_s, 1),
    }


def _encoded(path: Path, plan: Plan, index: int, folder: Path, present: ByteRanges | None) -> list[str]:
    output = encode_video(path, plan, index, folder, progress=lambda _: None, stop=threading.Event(), present=present)
    return [file.sha256 for file in output.files]


def _make_room(path: Path, ranges: ByteRanges) -> None:
    with path.open("ab") as file:
        file.truncate(max(path.stat().st_size, *(end for _, end in ranges)))


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg_binary(), "-nostdin", "-v", "error", "-y", *arguments], check=True)
