"""Admin actions. Each calls a service for every selected row and reports the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext

from ..lifecycle.errors import BatchreelError
from ..lifecycle.states import ACTIVE_JOB_STATES, JobPriority, JobState
from ..models import Job, Video
from ..selectors.videos import can_retry
from ..services.requests.cancel import cancel_job
from ..services.requests.request import move_to_front, request_again, retry_video, revive
from ..services.requests.share import revoke_share_links
from .widgets import AnyAdmin

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

CONFIRMED = "_confirmed"

_NAMED_PROBLEMS = 5
"""Rows that a message names: with a hundred, nobody would read it."""

_NAMED_ROWS = 50
"""Rows that a page names before it asks whether to continue."""


def for_each(
    page: AnyAdmin,
    request: HttpRequest,
    rows: Iterable[Any],
    act: Callable[[Any], str | None],
    *,
    success_label: StrOrPromise,
) -> None:
    """Call `act` for each row and show the results in one message.

    `act` returns None on success, or a message that explains why it did nothing. The message of a
    BatchreelError is shown in the same way.
    """
    done = 0
    problems = []
    for row in rows:
        try:
            problem = act(row)
        except BatchreelError as error:
            problem = str(error)
        if problem is None:
            done += 1
        else:
            problems.append(f"{row}: {problem}")
    parts = [f"{success_label}: {done}."] if done or not problems else []
    if problems:
        text = ngettext("{count} row was left as it was:", "{count} rows were left as they were:", len(problems))
        more = len(problems) - _NAMED_PROBLEMS
        parts += [text.format(count=len(problems)), *problems[:_NAMED_PROBLEMS]]
        if more > 0:
            parts.append(ngettext("And {count} more.", "And {count} more.", more).format(count=more))
    page.message_user(request, " ".join(parts), messages.WARNING if problems else messages.SUCCESS)


def confirmation(
    page: AnyAdmin, request: HttpRequest, rows: QuerySet[Any], *, action: str, question: str
) -> HttpResponse | None:
    """Return a page that asks before an action that destroys something, or None once the user has confirmed it.

    The page sends the same form again, whatever was in it.
    """
    if CONFIRMED in request.POST:
        return None
    left_out = {"csrfmiddlewaretoken", "action", "index"}
    fields = [(name, value) for name, values in request.POST.lists() if name not in left_out for value in values]
    if request.POST.get("select_across") == "1":
        fields = [each for each in fields if each[0] != "_selected_action"] + [
            ("_selected_action", str(pk)) for pk in rows.order_by().values_list("pk", flat=True)[:1]
        ]
    context = {
        **page.admin_site.each_context(request),
        "title": question,
        "opts": page.opts,
        "rows": list(rows[:_NAMED_ROWS]),
        "more": max(0, rows.count() - _NAMED_ROWS),
        "fields": [*fields, ("action", action), (CONFIRMED, "yes")],
    }
    return TemplateResponse(request, "admin/batchreel/confirm_action.html", context)


def possible_for_job(job: Job) -> frozenset[str]:
    """Return the names of the actions that a job's state allows."""
    is_active = job.state in ACTIVE_JOB_STATES
    found = set(possible_for_video(job.video)) & {"retry", "transcode_again"}
    if is_active or job.state == JobState.DEAD:
        found.add("cancel")
    newer = Job.objects.filter(video=job.video_id, created_at__gt=job.created_at)
    if job.state == JobState.DEAD and job.video.deleted_at is None and not newer.exists():
        found.add("revive")
    if is_active and job.priority == JobPriority.BULK:
        found.add("to_front")
    return frozenset(found)


def possible_for_video(video: Video) -> frozenset[str]:
    """Return the names of the actions that a video's state allows."""
    if video.deleted_at is not None:
        return frozenset()
    is_active = Job.objects.filter(video=video, state__in=ACTIVE_JOB_STATES).exists()
    found = {"cancel"} if is_active else set()
    if can_retry(video).possible:
        found.add("retry")
    if not is_active and video.source and video.source_complete:
        found.add("transcode_again")
    if video.share_links.exists():
        found.add("revoke_share_links")
    return frozenset(found)


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
