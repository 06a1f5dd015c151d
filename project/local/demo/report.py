"""The demo's final report: timeline, published rungs, and how to watch the video."""

from __future__ import annotations

import json
import os
import posixpath
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage
from django.urls import reverse
from rich.table import Table

from project.local.running_site import WEB_URL
from project.local.site import WEB_PORT
from tasks.models import Attempt, Event, Job
from tasks.transcode.package.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of the job: what happened and when, according to the rows.

    `took` counts from the step that caused it.
    """

    words: str
    at: datetime
    took: timedelta


def hops(job: Job) -> list[Hop]:
    """Return the job's steps in the order of their first occurrence, from database rows only."""
    attempt = Attempt.objects.filter(job=job).earliest("number")
    # Their rows may be removed already: the job has ended.
    units = Event.objects.filter(job_id=job.pk, kind="unit.finish").count()
    # Name of the step -> the step that caused it, and its description.
    steps = {
        "upload": ("upload", "Django: upload saved, as a row in PostgreSQL"),
        "job.request": ("upload", f"signal: job {job.pk} created in the same transaction"),
        "attempt.submit": ("job.request", f"Celery worker: SubmitJob over HTTP, AWS Batch job {attempt.batch_job_id}"),
        "attempt.claim": (
            "attempt.submit",
            f"local AWS Batch: container process started, attempt {attempt.number} claimed",
        ),
        "plan": ("attempt.claim", f"container: planned as {units} units"),
        "job.source_playable": ("plan", "container: browsers can play the uploaded file, so it can already be watched"),
        "RUNNING": ("attempt.submit", "Celery worker: DescribeJobs returned RUNNING"),
        "media": ("plan", "container: video and audio encoded and stored; heartbeats and progress in PostgreSQL"),
        "job.publish": ("media", "container: every object read back and verified, then published in one transaction"),
        "SUCCEEDED": ("job.publish", "Celery worker: DescribeJobs returned SUCCEEDED"),
    }
    times = _times(job)
    found = [
        Hop(words=words, at=times[name], took=times[name] - times.get(cause, times[name]))
        for name, (cause, words) in steps.items()
        if name in times
    ]
    return sorted(found, key=lambda hop: hop.at)


def _times(job: Job) -> dict[str, datetime]:
    """Return when each step first occurred, or last for media.

    Units are named by kind, observations by status.
    """
    times: dict[str, datetime] = {"upload": job.video.created_at}
    for event in Event.objects.filter(job_id=job.pk).order_by("id"):
        name = event.kind
        if event.kind == "unit.finish":
            name = {"plan": "plan", "publish": ""}.get(event.text.split()[0], "media")
        elif event.kind == "batch.status":
            name = event.to_state
        if name == "media" or name not in times:
            times[name] = event.created_at
    return times


def print_publication(job: Job, console: Console) -> None:
    """Print the timeline, the published rungs, where the playlist is, and how to watch it."""
    console.print("\nTimeline", style="bold")
    console.print("      at     took")
    steps = hops(job)
    for hop in steps:
        at_s = (hop.at - steps[0].at).total_seconds()
        console.print(f"  {at_s:6.1f} s {hop.took.total_seconds():6.1f} s  {hop.words}")
    if (attempts := Attempt.objects.filter(job=job).count()) > 1:
        console.print(f"  It took {attempts} attempts; the timeline on the video's page shows why.")
    console.print()
    console.print(_rungs(job))
    running = os.environ.get(WEB_URL)
    page = f"{running or f'http://127.0.0.1:{WEB_PORT}'}{reverse('batchreel:video', args=[job.video_id])}"
    console.print(f"\nPlayable: {job.video} ({job.duration_s or 0:.1f} s)", style="bold green")
    console.print(f"  playlist  {default_storage.path(job.playlist_key)}")
    console.print("\nNext: watch it")
    start = "log in" if running else "run scripts/dev, log in"
    console.print(f"  in a browser  {start} as teacher with the password in login.txt, and open {page}")
    console.print("  in a player   open the playlist with ffplay, mpv or VLC")


def _rungs(job: Job) -> Table:
    with default_storage.open(posixpath.join(posixpath.dirname(job.playlist_key), MANIFEST_NAME), "rb") as file:
        manifest = json.load(file)
    table = Table("rung", "size", "bitrate", "peak", "segments", "MB", title="Published", title_justify="left")
    for rung in manifest["rungs"]:
        size = f"{rung['width_px']} x {rung['height_px']}"
        table.add_row(rung["name"], size, *_measurements(rung))
    for audio in manifest["audio"]:
        table.add_row(audio["title"], "", *_measurements(audio))
    return table


def _measurements(track: dict[str, int]) -> tuple[str, str, str, str]:
    return (
        f"{track['average_bps'] / 1000:.0f} kbit/s",
        f"{track['peak_bps'] / 1000:.0f} kbit/s",
        str(track["segments"]),
        f"{track['bytes'] / 1e6:.1f}",
    )


def print_failure(job: Job, console: Console, *, log_dir: Path) -> None:
    """Print why the video is not playable, where the logs are, and what to do next."""
    attempts = Attempt.objects.filter(job=job).count()
    console.print(f"\nNot playable: {job.reason_message}", style="red")
    count = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    console.print(f"  job {job.state}, reason {job.reason}, {count}; logs in {log_dir}")
    console.print(
        f"\nNext: look up {job.reason} in docs/reference/input-errors.md or reasons.md there, or try another file:"
        " `scripts/demo FILE`."
    )
