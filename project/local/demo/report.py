"""What the demo says at the end: where the video went, what was made, how long each stage took, how to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage
from django.urls import reverse
from rich.table import Table

from project.local.site import WEB_PORT
from tasks.models import Attempt, Event, Job, Unit

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of the way: what happened, by the rows, and when. `took` counts from the step that caused it."""

    words: str
    at: datetime
    took: timedelta


def hops(job: Job) -> list[Hop]:
    """The way of the job's video, hop by hop, from rows alone, in the order in which the hops happened first."""
    attempt = Attempt.objects.filter(job=job).earliest("number")
    units = Unit.objects.filter(job=job).count()
    # What happened: after what, and in words.
    ways = {
        "upload": ("upload", "Django: the upload is saved, as a row in PostgreSQL"),
        "job.request": ("upload", f"signal: job {job.pk} in the same transaction"),
        "attempt.submit": ("job.request", f"Celery worker: SubmitJob over HTTP, AWS Batch job {attempt.batch_job_id}"),
        "attempt.claim": (
            "attempt.submit",
            f"local AWS Batch: container process started, attempt {attempt.number} claimed",
        ),
        "plan": ("attempt.claim", f"container: planned as {units} units"),
        "job.preview": ("plan", "container: the file as it was uploaded can be watched already, as a preview"),
        "RUNNING": ("attempt.submit", "Celery worker: DescribeJobs says RUNNING"),
        "media": ("plan", "container: pictures and sound encoded and stored; heartbeats and progress in PostgreSQL"),
        "job.publish": ("media", "container: every object read back and verified, then published in one transaction"),
        "SUCCEEDED": ("job.publish", "Celery worker: DescribeJobs says SUCCEEDED"),
    }
    moments = _moments(job)
    way = [
        Hop(words=words, at=moments[name], took=moments[name] - moments.get(cause, moments[name]))
        for name, (cause, words) in ways.items()
        if name in moments
    ]
    return sorted(way, key=lambda hop: hop.at)


def _moments(job: Job) -> dict[str, datetime]:
    """When each kind of thing happened first, and media last; units by their kind, observations by their status."""
    moments: dict[str, datetime] = {"upload": job.video.created_at}
    for event in Event.objects.filter(job_id=job.pk).order_by("id"):
        name = event.kind
        if event.kind == "unit.finish":
            name = {"plan": "plan", "preview": "", "publish": ""}.get(event.text.split()[0], "media")
        elif event.kind == "batch.status":
            name = event.to_state
        if name == "media" or name not in moments:
            moments[name] = event.created_at
    return moments


def print_publication(job: Job, console: Console) -> None:
    """The way and the time of each of its steps, the rungs, and where the playlist is."""
    console.print("\nThe way it went", style="bold")
    console.print("      at     took")
    way = hops(job)
    for hop in way:
        at_s = (hop.at - way[0].at).total_seconds()
        console.print(f"  {at_s:6.1f} s {hop.took.total_seconds():6.1f} s  {hop.words}")
    if (attempts := Attempt.objects.filter(job=job).count()) > 1:
        console.print(f"  It took {attempts} attempts; the timeline on the video's page says why.")
    console.print()
    console.print(_rungs(job))
    page = f"http://127.0.0.1:{WEB_PORT}{reverse('batchreel:video', args=[job.video_id])}"
    console.print(f"\nPlayable: {job.video} ({(job.manifest or {})['duration_s']:.1f} s)", style="bold green")
    console.print(f"  playlist      {default_storage.path(job.manifest_key)}")
    console.print(f"  in a browser  run scripts/dev, then open {page}")
    console.print("  in a player   ffplay, mpv or VLC, with the playlist's path")


def _rungs(job: Job) -> Table:
    manifest = job.manifest or {}
    table = Table("rung", "size", "bitrate", "peak", "segments", "MB", title="What was made", title_justify="left")
    for rung in manifest["rungs"]:
        size = f"{rung['width_px']} x {rung['height_px']}"
        table.add_row(rung["name"], size, *_measures(rung))
    if manifest["audio"]:
        table.add_row("audio", "", *_measures(manifest["audio"]))
    return table


def _measures(track: dict[str, int]) -> tuple[str, str, str, str]:
    return (
        f"{track['average_bps'] / 1000:.0f} kbit/s",
        f"{track['peak_bps'] / 1000:.0f} kbit/s",
        str(track["segments"]),
        f"{track['bytes'] / 1e6:.1f}",
    )


def print_failure(job: Job, console: Console, *, log_dir: Path) -> None:
    """Why the video is not playable, for the person who uploaded it, and where to look further."""
    attempts = Attempt.objects.filter(job=job).count()
    console.print(f"\nNot playable: {job.reason_message}", style="red")
    runs = "1 execution" if attempts == 1 else f"{attempts} executions"
    console.print(f"  job {job.state}, reason {job.reason}, {runs}; logs in {log_dir}")
