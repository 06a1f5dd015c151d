"""What the demo says at the end: where the video went, what was made, how long each stage took, how to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage
from rich.table import Table

from tasks.models import Attempt, Event, Job, Unit

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of the way: what happened, by the rows, and when."""

    words: str
    at: datetime


def hops(job: Job) -> list[Hop]:
    """The way of the job's video, hop by hop, from event rows alone."""
    attempt = Attempt.objects.filter(job=job).latest("number")
    units = Unit.objects.filter(job=job).count()
    words = {
        "job.request": f"signal: job {job.pk} in the same transaction as the upload",
        "attempt.submit": f"Celery worker: SubmitJob over HTTP, AWS Batch job {attempt.batch_job_id}",
        "attempt.claim": f"local AWS Batch: container process started, attempt {attempt.number} claimed",
        "plan": f"container: planned as {units} units",
        "RUNNING": "Celery worker: DescribeJobs says RUNNING",
        "media": "container: pictures and sound encoded and stored, with heartbeats and progress in PostgreSQL",
        "job.publish": "container: every object read back and verified, then published in one transaction",
        "SUCCEEDED": "Celery worker: DescribeJobs says SUCCEEDED",
    }
    moments = _moments(job)
    way = [Hop(words=text, at=moments[name]) for name, text in words.items() if name in moments]
    return sorted(way, key=lambda hop: hop.at)


def _moments(job: Job) -> dict[str, datetime]:
    """When each kind of thing happened last; units by their kind, observations by their status."""
    moments: dict[str, datetime] = {}
    for event in Event.objects.filter(job_id=job.pk).order_by("id"):
        name = event.kind
        if event.kind == "unit.finish":
            name = {"plan": "plan", "publish": ""}.get(event.text.split()[0], "media")
        elif event.kind == "batch.status":
            name = event.to_state
        moments[name] = event.created_at
    return moments


def print_publication(job: Job, console: Console) -> None:
    """The way, the rungs, the stages, and where the playlist is."""
    console.print("\nThe way it went", style="bold")
    way = hops(job)
    for before, hop in zip([way[0], *way], way, strict=False):
        console.print(f"  +{(hop.at - before.at).total_seconds():5.1f} s  {hop.words}", soft_wrap=True)
    console.print(f"  {(way[-1].at - way[0].at).total_seconds():6.1f} s  in all\n")
    console.print(_rungs(job))
    playlist = Path(default_storage.path(job.manifest_key))
    console.print(f"\nPlayable: {job.video} ({(job.manifest or {})['duration_s']:.1f} s)", style="bold green")
    console.print(f"  playlist  {playlist}", soft_wrap=True)
    console.print(f"  in a browser: scripts/dev, then the page of this video, /videos/{job.video_id}/", soft_wrap=True)
    console.print("  in a player:  ffplay, mpv or VLC with the playlist's path", soft_wrap=True)


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
    console.print(f"\nNot playable: {job.reason_text}", style="red", soft_wrap=True)
    runs = "1 execution" if attempts == 1 else f"{attempts} executions"
    console.print(f"  job {job.state}, reason {job.reason}, {runs}; logs in {log_dir}", soft_wrap=True)
