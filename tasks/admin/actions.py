"""The actions of the admin: each calls a service for each chosen row, and says what happened to which."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from ..lifecycle.errors import BatchreelError
from ..models import Job, Video
from ..services.requests.cancel import cancel_job
from ..services.requests.request import request_by_person, retry_video, revive
from .widgets import AnyAdmin


def for_each(
    page: AnyAdmin, request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], str | None], *, did: str
) -> None:
    """Do `act` to each row. It gives None where it did so, or a sentence why not; a refusal's sentence is shown as well."""
    done = 0
    for row in rows:
        try:
            why_not = act(row)
        except BatchreelError as error:
            why_not = str(error)
        if why_not is None:
            done += 1
        else:
            page.message_user(request, f"{row}: {why_not}", messages.WARNING)
    if done:
        page.message_user(request, f"{did}: {done}.", messages.SUCCESS)


def retry(video: Video) -> str | None:
    """Retry the video, as the button on its page does."""
    retry_video(video_id=video.pk)
    return None


def transcode_again(video: Video) -> str | None:
    """Ask for a new job of the video, from the beginning, whatever became of the last one."""
    requested = request_by_person(video_id=video.pk)
    return None if requested.created else "It has an active job already."


def cancel(job: Job) -> str | None:
    """Cancel the job."""
    return None if cancel_job(job_id=job.pk) else f"It is {job.state} and cannot be cancelled any more."


def revive_job(job: Job) -> str | None:
    """Give the parked job a new budget."""
    revive(job_id=job.pk)
    return None
