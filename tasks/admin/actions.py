"""Admin actions. Each calls a service for every selected row and reports the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext

from ..lifecycle.errors import BatchreelError
from ..models import Job, Video
from ..services.requests.cancel import cancel_job
from ..services.requests.request import move_to_front, request_again, retry_video, revive
from ..services.requests.share import revoke_share_links
from .widgets import AnyAdmin

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise


def for_each(
    page: AnyAdmin,
    request: HttpRequest,
    rows: Iterable[Any],
    act: Callable[[Any], str | None],
    *,
    success_label: StrOrPromise,
) -> None:
    """Call `act` for each row and show the results.

    `act` returns None on success, or a message that explains why it did nothing. The message of a
    BatchreelError is shown in the same way.
    """
    done = 0
    for row in rows:
        try:
            problem = act(row)
        except BatchreelError as error:
            problem = str(error)
        if problem is None:
            done += 1
        else:
            page.message_user(request, f"{row}: {problem}", messages.WARNING)
    if done:
        page.message_user(request, f"{success_label}: {done}.", messages.SUCCESS)


def retry(video: Video) -> str | None:
    """Retry the video, like the button on its page."""
    retry_video(video_id=video.pk)
    return None


def transcode_again(video: Video, *, profile: str = "") -> str | None:
    """Request a new job for the video, from the beginning, regardless of the state of the last one.

    It gets the profile of this name, or the site's default one.
    """
    requested = request_again(video_id=video.pk, profile=profile or None)
    return None if requested.created else gettext("It already has an active job.")


def revoke_links(video: Video) -> str | None:
    """Revoke all share links of the video."""
    return None if revoke_share_links(video_id=video.pk) else gettext("It has no share links.")


def cancel(job: Job) -> str | None:
    """Cancel the job."""
    return None if cancel_job(job_id=job.pk) else _not_active(job)


def _not_active(job: Job) -> str:
    return gettext("It is {state} and can no longer be cancelled.").format(state=job.state)


def to_front(job: Job) -> str | None:
    """Give the bulk job the priority of an upload."""
    return None if move_to_front(job_id=job.pk) else gettext("It is not an active bulk job.")


def revive_job(job: Job) -> str | None:
    """Revive the DEAD job: give it a new set of attempts."""
    revive(job_id=job.pk)
    return None
