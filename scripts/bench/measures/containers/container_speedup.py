"""Benchmark: how much sooner several real containers finish one video, and whether its bytes stay the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from django.conf import settings
from django.core.files import File

from scripts.bench.measures.history import migrate
from tasks.batch.aws import aws_batch
from tasks.batch.definition import render
from tasks.conf import bridge_settings
from tasks.models import Attempt, Event, Job, Unit, Video
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import submit_due
from tasks.transcode import Plan, UnitOutput, encode_video
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from datetime import datetime

STAND_IN_FRAME_S = 0.006
"""Seconds that the stand-in encoder sleeps for each frame that it encodes, warm-up and look-ahead frames
included, as if it needed that much CPU time."""

_LIMIT_S = 1800
_TICK_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Case:
    name: str
    counts: tuple[int, ...]
    """Numbers of containers. The first is one."""
    targets: tuple[float | None, ...]
    source: tuple[str, ...]
    """ffmpeg's arguments that make the source."""
    frame_sleep_s: float = 0


_CASES = (
    _Case(
        name="sleeps",
        counts=(1, 2, 4),
        targets=(None, 1.9, 3.7),
        source=("-f", "lavfi", "-i", "testsrc2=size=96x54:rate=15:duration=3600"),
        frame_sleep_s=STAND_IN_FRAME_S,
    ),
    _Case(
        name="encodes",
        counts=(1, 2),
        targets=(None, 1.7),
        source=(
            *(
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=854x480:rate=25:duration=300",
                "-f",
                "lavfi",
                "-i",
                "sine=duration=300",
            ),
            *("-c:a", "aac"),
        ),
    ),
)


def measured(encoder: str) -> list[dict[str, Any]]:
    """Return a row per encoder and number of containers of one vCPU. `encoder` is the name of a case, or "both"."""
    migrate()
    settings.MEDIA_ROOT = os.environ["MEDIA_ROOT"]
    with tempfile.TemporaryDirectory(prefix="speedup-") as folder:
        return [row for case in _CASES if encoder in {case.name, "both"} for row in _rows(case, Path(folder))]


def _rows(case: _Case, folder: Path) -> list[dict[str, Any]]:
    source = folder / f"{case.name}.mp4"
    made = [*case.source, "-c:v", "libx264", "-preset", "ultrafast", str(source)]
    subprocess.run([ffmpeg_binary(), "-nostdin", "-v", "error", "-y", *made], check=True)
    rows: list[dict[str, Any]] = []
    alone_s = 0.0, 0.0
    for count, target in zip(case.counts, case.targets, strict=True):
        job = _finished(source, count, _wrapped_ffmpeg(folder, case.frame_sleep_s))
        claimed, planned, encoded, published = _times(job)
        times_s = (published - claimed).total_seconds(), (encoded - planned).total_seconds()
        alone_s = alone_s if rows else times_s
        rows.append(
            {
                "encoder": case.name,
                "containers": Attempt.objects.filter(job=job, claimed_at__isnull=False).count(),
                "ready_s": round(times_s[0], 1),
                "speedup": round(alone_s[0] / times_s[0], 2),
                "of_units": round(alone_s[1] / times_s[1], 2),
                "target": target or "-",
                "units_each": "/".join(map(str, _units_each(job))),
                "same_bytes": _are_same_bytes(source, job),
            }
        )
        sys.stderr.write(f"{rows[-1]}\n")
    return rows


_SCRIPT = """\
#!{python} -IS
import fcntl, os, re, sys, time
own = os.open(sys.argv[0], os.O_RDONLY)
try:
    fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    core = 0
except BlockingIOError:
    core = 1
os.set_inheritable(own, True)
if {frame_sleep_s}:
    unit = re.search(r"trim=start_pts=([0-9]+):end_pts=([0-9]+)\\[grid\\]", " ".join(sys.argv))
    time.sleep((int(unit[2]) - int(unit[1])) * {frame_sleep_s} if unit else 0)
else:
    os.sched_setaffinity(0, {{core}})
os.execv("{ffmpeg}", ["ffmpeg", *sys.argv[1:]])
"""


def _wrapped_ffmpeg(folder: Path, frame_sleep_s: float) -> str:
    """Return an ffmpeg that sleeps before it encodes video, or one that has one core, as its container has one vCPU.

    A second one at the same time gets the second core. It cannot start processes, so it becomes ffmpeg.
    """
    script = folder / f"ffmpeg-{frame_sleep_s}"
    python = Path(sys.executable).resolve()
    script.write_text(_SCRIPT.format(python=python, frame_sleep_s=frame_sleep_s, ffmpeg=ffmpeg_binary()))
    script.chmod(0o755)
    return str(script)


def _finished(source: Path, count: int, ffmpeg: str) -> Job:
    """Upload the file, run the ticks until its job has been published by `count` containers, and return the job."""
    settings.BATCHREEL = {
        "vcpus": 1,
        "memory_mib": 1024,
        "heartbeat_s": 2,
        "machine_hold_s": 0,
        "max_helpers": count - 1,
        "max_early_helpers": count - 1,
        "helper_target_s": 1,
        "helper_min_work_s": 1,
    }
    bridge_settings.cache_clear()
    settings.VIDEO_BATCH_JOB_DEFINITION = _define(ffmpeg)
    bridge_settings.cache_clear()
    video = Video(title=source.stem)
    with source.open("rb") as content:
        video.source.save(source.name, File(content))
    until_s = time.monotonic() + _LIMIT_S
    number = 0
    while (job := Job.objects.get(video=video)).state != "SUCCEEDED":
        if job.state in {"FAILED", "DEAD", "CANCELLED"} or time.monotonic() > until_s:
            message = (
                f"{job.state} after {_LIMIT_S - (until_s - time.monotonic()):.0f} s: {job.reason} {job.reason_message}"
            )
            raise RuntimeError(message)
        number += 1
        submit_due(batch=aws_batch())
        observe(batch=aws_batch(), tick=number)
        time.sleep(_TICK_S)
    return job


def _define(ffmpeg: str) -> str:
    """Register the definition that the code renders, with these settings and this ffmpeg, and return its name."""
    batch = boto3.client("batch")
    name = f"speedup-{uuid.uuid4().hex[:8]}"
    definition: Any = render(bridge_settings(), region=batch.meta.region_name) | {"jobDefinitionName": name}
    definition["containerProperties"]["environment"] += [
        {"name": "BATCHREEL", "value": json.dumps(settings.BATCHREEL)},
        {"name": "FFMPEG_BINARY", "value": ffmpeg},
    ]
    batch.register_job_definition(**definition)
    return name


def _times(job: Job) -> tuple[datetime, datetime, datetime, datetime]:
    """Return the database's times of the first claim, the plan, the last unit of media, and the publication."""
    events = Event.objects.filter(job_id=job.pk).order_by("created_at")
    units = list(events.filter(kind="unit.finish").values_list("text", "created_at"))
    planned = next(at for text, at in units if text.startswith("plan"))
    encoded = max(at for text, at in units if text.startswith(("video", "audio")))
    claimed, published = (events.filter(kind=kind)[0].created_at for kind in ("attempt.claim", "job.publish"))
    return claimed, planned, encoded, published


def _units_each(job: Job) -> list[int]:
    """Return the number of units that each container finished, the busiest first."""
    finished = Event.objects.filter(job_id=job.pk, kind="unit.finish").values_list("attempt_number", flat=True)
    counts = [list(finished).count(number) for number in set(finished)]
    return sorted(counts, reverse=True)


def _are_same_bytes(source: Path, job: Job) -> bool:
    """Return whether units that different containers made have the bytes that this process makes of them."""
    plan = Plan.from_json(job.plan)
    units = Unit.objects.filter(job=job, kind="video").order_by("attempt__number", "index")
    checked = {unit.attempt_id: unit for unit in units}.values()
    for unit in checked:
        media = UnitOutput.from_json(unit.output["media"])
        with tempfile.TemporaryDirectory() as folder:
            again = encode_video(
                source, plan, unit.index, Path(folder), progress=lambda _: None, stop=threading.Event(), present=None
            )
        if [file.sha256 for file in again.files] != [file.sha256 for file in media.files]:
            return False
    return True
