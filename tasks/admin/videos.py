"""Videos in the admin: their status and progress, their jobs, what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ..lifecycle.states import ACTIVE_JOB_STATES
from ..models import Job, Video
from ..selectors.timeline import video_timeline
from ..selectors.videos import VideoOverview, overviews, shown_videos, video_overview
from .actions import cancel, for_each, retry, transcode_again
from .page_actions import PageActions
from .widgets import NOTHING, ReadOnlyInline, badge, page_link, progress_bar, timeline


class JobsOfVideo(ReadOnlyInline):
    """The video's jobs, newest first."""

    model = Job
    fields = readonly_fields = ("job", "state", "reason_message", "automatic", "created_at", "finished_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the large columns."""
        return super().get_queryset(request).defer("plan", "manifest")

    @admin.display(description="job")
    def job(self, job: Job) -> SafeString:
        """A link to the job."""
        return page_link("job", job.pk, str(job.pk)[:8])


@admin.register(Video)
class VideoAdmin(PageActions):
    """A video can be renamed, given to somebody else, and deleted; everything else follows from its jobs.

    Files are uploaded on the pages: the admin would keep a transaction open for as long as the storage takes them.
    """

    list_display = ("title_or_id", "status", "progress", "published", "created_at")
    search_fields = ("title", "id")
    actions = ("retry", "transcode_again", "cancel")
    autocomplete_fields = ("owner",)
    fields = (
        "title",
        "owner",
        "source_name",
        "status",
        "told",
        "progress",
        "published",
        "created_at",
        "happened",
    )
    readonly_fields = ("source_name", "status", "told", "progress", "published", "created_at", "happened")
    inlines = (JobsOfVideo,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: see above."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Video]:
        """Videos that were not deleted."""
        return shown_videos()

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The page's videos, each with its overview, in a fixed number of queries."""
        changes = super().get_changelist_instance(request)
        videos = list(changes.result_list)
        found = overviews(videos)
        for video in videos:
            video.overview = found[video.pk]
        changes.result_list = videos
        return changes

    @admin.display(description="video")
    def title_or_id(self, video: Video) -> str:
        """What a person calls it."""
        return str(video)

    @admin.display(description="source's storage name")
    def source_name(self, video: Video) -> str:
        """Which version of the source is there."""
        return str(video.source) or NOTHING

    @admin.display(description="status")
    def status(self, video: Video) -> SafeString:
        """The derived status."""
        return badge(_overview(video).status)

    @admin.display(description="what people are told")
    def told(self, video: Video) -> str:
        """The sentence of the page."""
        return _overview(video).message

    @admin.display(description="progress")
    def progress(self, video: Video) -> SafeString:
        """The newest job's progress."""
        return progress_bar(_overview(video).progress)

    @admin.display(description="published job")
    def published(self, video: Video) -> str:
        """The job whose output is shown."""
        return (
            page_link("job", video.published_job_id, str(video.published_job_id)[:8])
            if video.published_job_id
            else NOTHING
        )

    @admin.display(description="what happened")
    def happened(self, video: Video) -> SafeString:
        """The timeline of all its jobs."""
        return timeline(video_timeline(video.pk))

    @admin.action(description="Retry (a parked video goes on where it stopped)", permissions=["change"])
    def retry(self, request: HttpRequest, videos: QuerySet[Video]) -> None:
        """What the page's Retry does, for each video."""
        for_each(self, request, videos, retry, did="Videos tried again")

    @admin.action(description="Transcode again (a new job, from the beginning)", permissions=["change"])
    def transcode_again(self, request: HttpRequest, videos: QuerySet[Video]) -> None:
        """Ask for a new job of each video."""
        for_each(self, request, videos, transcode_again, did="Videos asked for again")

    @admin.action(description="Cancel the work", permissions=["change"])
    def cancel(self, request: HttpRequest, videos: QuerySet[Video]) -> None:
        """Cancel the active job of each video."""
        active = Job.objects.filter(video__in=videos, state__in=ACTIVE_JOB_STATES).defer("plan", "manifest")
        for_each(self, request, active, cancel, did="Jobs cancelled")

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """What a deletion means: the work ends now, objects and rows go later. Nothing protects a video from it."""
        allowed = self.has_delete_permission(request)
        told = [f"{video}: its work ends now; then its files and rows are removed" for video in objs]
        return told, {"videos": len(told)}, set() if allowed else {"video"}, []


def _overview(video: Video) -> VideoOverview:
    found: VideoOverview | None = getattr(video, "overview", None)
    return found or video_overview(video)
