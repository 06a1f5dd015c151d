"""Helpers of the end-to-end tests that use rows: upload as an application would, and wait for states."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import ACTIVE_JOB_STATES, AttemptEvent
from tasks.models import Attempt, Event, Job, Video
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

JOB_LIMIT_S = 60.0
"""Much longer than a tiny clip takes on a busy machine."""


def upload(clip: Path, *, title: str = "Lecture 1") -> Video:
    """Save a video with its source in a transaction, as most Django applications do.

    Without one, a tick may request the job between the insert and its signal, and no wake-up is sent.
    """
    video = Video(title=title)
    with clip.open("rb") as content, transaction.atomic():
        video.source.save(clip.name, File(content))
    return video


def wait_for_end(video: Video) -> Job:
    """Wait until the video's only job has ended, and return it."""

    def poll() -> Job | None:
        job = Job.objects.get(video=video)
        return None if job.state in ACTIVE_JOB_STATES else job

    return wait_for(poll, limit_s=JOB_LIMIT_S, what=f"the end of the job of {video}")


def wait_for_attempt(video: Video, *, state: str, number: int = 1) -> Attempt:
    """Wait until the attempt with this number is in the state, and return it."""
    rows = Attempt.objects.filter(job__video=video, number=number, state=state).select_related("job")
    return wait_for(rows.first, limit_s=JOB_LIMIT_S, what=f"attempt {number} {state} of {video}")


def event_kinds(job: Job) -> list[str]:
    """Return the kinds of the job's events, oldest first."""
    return list(Event.objects.filter(job_id=job.pk).order_by("id").values_list("kind", flat=True))


def lose_attempt(attempt: Attempt) -> None:
    """Mark the attempt as LOST, as the rescue tick does after a heartbeat timeout."""
    with transaction.atomic():
        current = read_attempt(lock_job(attempt.job_id), attempt.number)
        end_attempt(current, AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)


def read_manifest(job: Job) -> dict[str, Any]:
    """Return the manifest of the job's publication, which is in the storage only."""
    with default_storage.open(posixpath.join(posixpath.dirname(job.playlist_key), "manifest.json"), "rb") as file:
        manifest: dict[str, Any] = json.load(file)
    return manifest
