"""Overviews of videos for the pages and the admin: status, message, progress and retry offer.

The number of queries is the same for one video or fifty.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.retry_offer import RetryOffer, retry_offer
from ..lifecycle.states import ACTIVE_JOB_STATES, JobState
from ..lifecycle.video_status import VideoStatus, video_status
from ..models import Job, Video
from ..texts.stored import job_message, translated, warning_message
from .access import may_upload, permitted
from .growing import GROWING_KEY, Playable, playable
from .media_urls import media_url
from .progress import JobProgress, is_interrupted, job_progress
from .publication import shown_chapters

if TYPE_CHECKING:
    from .access import Action, AnyUser

SOURCE = "source"
"""The uploaded file itself is what can be watched, because browsers can play it as it is."""

_MESSAGES = {
    VideoStatus.UPLOADING: _("The file is being uploaded."),
    VideoStatus.WAITING: _("The video is waiting to be processed."),
    VideoStatus.PROCESSING: _("The video is being processed."),
    VideoStatus.READY: _("The video is ready to watch."),
    VideoStatus.UPDATING: _("The video is ready to watch. A new version is being processed."),
    VideoStatus.DEAD: _("Processing failed after several attempts. Press Retry or ask an operator for help."),
    VideoStatus.CANCELLED: _("Processing was cancelled."),
    VideoStatus.DELETED: _("The video was deleted."),
}
"""FAILED is missing: its message is the job's own. So is that of DEAD, if the job has one."""


STATUS_LABELS = {
    VideoStatus.UPLOADING: _("Uploading"),
    VideoStatus.WAITING: _("Waiting"),
    VideoStatus.PROCESSING: _("Processing"),
    VideoStatus.READY: _("Ready"),
    VideoStatus.UPDATING: _("Updating"),
    VideoStatus.FAILED: _("Failed"),
    VideoStatus.DEAD: _("Dead"),
    VideoStatus.CANCELLED: _("Cancelled"),
    VideoStatus.DELETED: _("Deleted"),
}
"""What the badge of a video shows."""

_WATCHER_MESSAGES = {
    VideoStatus.READY: _MESSAGES[VideoStatus.READY],
    VideoStatus.UPDATING: _MESSAGES[VideoStatus.READY],
    VideoStatus.UPLOADING: _("The video is not ready yet."),
    VideoStatus.WAITING: _("The video is not ready yet."),
    VideoStatus.PROCESSING: _("The video is not ready yet."),
}
"""For people who may only watch: nothing of what failed, and of what others could do about it."""


class ListedChapter(NamedTuple):
    """A chapter in the list under the player."""

    start_s: str
    """Seconds, as scripts read them: templates would write numbers as the reader's language does."""
    end_s: str
    clock: str
    """When it starts, as 1:02:03 or 2:03."""
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOverview:
    """What the pages and the admin show of a video in addition to its title."""

    status: VideoStatus
    message: str
    progress: JobProgress
    retry: RetryOffer
    newest_job: Job | None
    watchable: str
    """What can be watched: the id of the published job, SOURCE, the key of a growing playlist, or empty for nothing."""
    playlist_url: str
    """URL of the playlist that can be watched; empty if there is none."""
    playable_s: float | None
    """Seconds from the beginning that can be watched; None if nothing can be, or only the uploaded file."""
    chapters: Sequence[dict[str, Any]]
    """Chapters of the published video: `start_s`, `end_s` and `title`."""

    @property
    def source_is_watchable(self) -> bool:
        """Whether only the uploaded file itself can be watched."""
        return self.watchable == SOURCE

    @property
    def is_growing(self) -> bool:
        """Whether what can be watched is a growing playlist."""
        return self.watchable.startswith(GROWING_KEY)

    @property
    def watcher_message(self) -> str:
        """What people read who may only watch the video."""
        if self.is_growing or self.source_is_watchable:
            return gettext("The video can be watched. It is still being made.")
        return str(_WATCHER_MESSAGES.get(self.status) or gettext("The video cannot be watched."))

    @property
    def status_label(self) -> str:
        """The status in the reader's language."""
        return str(STATUS_LABELS[self.status])

    @property
    def playable_clock(self) -> str:
        """How far the video can be watched, as 1:02:03 or 2:03."""
        return clock(self.playable_s or 0)

    @property
    def listed_chapters(self) -> list[ListedChapter]:
        """The chapters as the page shows them."""
        return [
            ListedChapter(str(each["start_s"]), str(each["end_s"]), clock(each["start_s"]), each["title"])
            for each in self.chapters
        ]

    @property
    def is_settled(self) -> bool:
        """Whether the video is ready and nothing else is worth a line on its card."""
        newest = self.newest_job
        return self.status is VideoStatus.READY and (newest is None or newest.state == JobState.SUCCEEDED)

    @property
    def is_active(self) -> bool:
        """Whether a job is active, so that the overview is going to change."""
        return self.newest_job is not None and self.newest_job.state in ACTIVE_JOB_STATES


def shown_videos() -> QuerySet[Video]:
    """Return the videos that are not deleted, newest first, each with its published job."""
    return Video.objects.filter(deleted_at=None).select_related("published_job").defer("published_job__plan")


def videos_for(user: AnyUser, action: Action = "view") -> QuerySet[Video]:
    """Return the videos with which this user may do this: their own, or all with the model's permission.

    These are the videos of lists. Permissions for single videos come from an authentication backend,
    which no query can ask: `allowed` does, for one video.
    """
    if not user.is_active:
        return shown_videos().none()
    return shown_videos() if permitted(user, action) else shown_videos().filter(owner=user.pk)


def needs_list(user: AnyUser) -> bool:
    """Return whether the list has anything for this user: videos, or the form for uploads. Others only watch."""
    return may_upload(user) or permitted(user, "view") or videos_for(user).exists()


def overviews(videos: Sequence[Video]) -> dict[uuid.UUID, VideoOverview]:
    """Return the overview of each video, by video id, in four queries; in three if none is being made."""
    newest = _newest_jobs(video.pk for video in videos)
    progress = job_progress(newest.values())
    grown = playable(newest.values())
    found = {}
    for video in videos:
        job = newest.get(video.pk)
        status = _status(video, job)
        watchable, playlist_url, playable_s = _watchable(video, job, grown.get(job.pk) if job else None)
        found[video.pk] = VideoOverview(
            status=status,
            message=_message(status, job),
            progress=progress[job.pk] if job else JobProgress(),
            retry=_offer(status, job),
            newest_job=job,
            watchable=watchable,
            playlist_url=playlist_url,
            playable_s=playable_s,
            chapters=shown_chapters(video),
        )
    return found


def clock(seconds: float) -> str:
    """Return a time within a video as 1:02:03 or 2:03."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def video_overview(video: Video) -> VideoOverview:
    """Return the overview of one video."""
    return overviews([video])[video.pk]


def can_retry(video: Video) -> RetryOffer:
    """Return whether a user may retry this video now."""
    job = _newest_jobs([video.pk]).get(video.pk)
    return _offer(_status(video, job), job)


def _offer(status: VideoStatus, newest: Job | None) -> RetryOffer:
    offer = retry_offer(status, JobState(newest.state), newest.reason) if newest else retry_offer(status, None)
    return offer._replace(message=translated(offer.message))


def warning_messages(video: Video) -> list[str]:
    """Return the warnings about the source of the published video."""
    return [warning_message(each) for each in (video.published_job.warnings if video.published_job else ())]


def reason_text(job: Job) -> str:
    """Return why the job ended, in the reader's language; empty if its row has no reason."""
    return job_message(job.reason_message, job.reason_details, job.reason)


def plays_directly(video: Video) -> bool:
    """Return whether the job of the video's source showed that browsers can play it as it is."""
    return video.jobs.filter(source_name=str(video.source), source_playable_at__isnull=False).exists()


def _newest_jobs(video_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Job]:
    jobs = Job.objects.filter(video_id__in=list(video_ids)).defer("plan")
    return {job.video_id: job for job in jobs.order_by("video_id", "-created_at").distinct("video_id")}


def _status(video: Video, newest: Job | None) -> VideoStatus:
    return video_status(
        deleted=video.deleted_at is not None,
        source_complete=video.source_complete and bool(video.source),
        published=video.published_job_id is not None,
        newest_job=JobState(newest.state) if newest else None,
    )


def _watchable(video: Video, newest: Job | None, grown: Playable | None) -> tuple[str, str, float | None]:
    """Return what can be watched, the URL of its playlist, and how many seconds."""
    if video.published_job is not None:
        job = video.published_job
        return str(job.pk), media_url(job.shown_playlist_key), job.duration_s
    if newest is not None and newest.source_playable_at is not None and newest.source_name == str(video.source):
        return SOURCE, "", None
    if grown is not None:
        return grown.key, grown.playlist_url, grown.seconds
    return "", "", None


def _message(status: VideoStatus, newest: Job | None) -> str:
    state, why = (newest.state, reason_text(newest)) if newest else ("", "")
    match status, state:
        case VideoStatus.FAILED, _ if newest:
            return why or gettext("The file could not be processed.")
        case VideoStatus.READY, JobState.FAILED:
            text = gettext("The video is ready to watch. A newer version could not be processed: {reason}")
            return text.format(reason=why)
        case VideoStatus.READY, JobState.DEAD:
            text = gettext("The video is ready to watch. A newer version could not be processed.")
            return f"{text} {why}".rstrip()
        case VideoStatus.DEAD, _ if why:
            return why
        case VideoStatus.WAITING, JobState.RETRY_WAIT if newest:
            return _while_it_waits(newest)
        case _:
            return str(_MESSAGES[status])


def _while_it_waits(job: Job) -> str:
    if is_interrupted(job):
        return gettext("Processing was interrupted. It continues automatically; there is nothing you need to do.")
    return gettext("An attempt failed. The next follows automatically; there is nothing you need to do.")
