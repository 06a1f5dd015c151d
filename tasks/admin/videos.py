"""Videos in the admin: status, progress, captions, jobs and timeline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.states import ACTIVE_JOB_STATES
from ..models import CaptionPurpose, Captions, Job, Video, Visibility
from ..selectors.costs import costs_of, describe
from ..selectors.history.timeline import video_timeline
from ..selectors.videos import VideoOverview, overviews, reason_text, shown_videos, video_overview
from .actions import cancel, confirmation, for_each, possible_for_video, retry, revoke_links, transcode_again
from .owners import OwnerFilter, as_uuid, owner_link, owner_name, video_url
from .page_actions import PageActions
from .widgets import (
    EMPTY_VALUE,
    BoundedPaginator,
    PreciseTimes,
    ReadOnlyInline,
    badge,
    page_link,
    precise,
    progress_bar,
    short_title,
    timeline,
)

_WHO_MAY_WATCH = {
    Visibility.PRIVATE: _("private"),
    Visibility.SIGNED_IN: _("signed in"),
    Visibility.LINK: _("with the address"),
}


class JobsOfVideo(ReadOnlyInline):
    """The video's jobs, newest first."""

    model = Job
    fields = readonly_fields = (
        *("job", "state_badge", "message", "automatic"),
        *(precise(Job, "created_at"), precise(Job, "finished_at")),
    )

    @admin.display(description=_("state"))
    def state_badge(self, job: Job) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(job.state)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the large columns."""
        return super().get_queryset(request).defer("plan")

    @admin.display(description=_("job"))
    def job(self, job: Job) -> SafeString:
        """Return a link to the job."""
        return page_link("job", job.pk, str(job.pk)[:8])

    @admin.display(description=_("reason message"))
    def message(self, job: Job) -> str:
        """Return why the job ended."""
        return reason_text(job) or EMPTY_VALUE


class CaptionsOfVideo(ReadOnlyInline):
    """The captions that were added to the video. They are edited on its page, which reads the files."""

    model = Captions
    verbose_name_plural = _("Captions")
    fields = readonly_fields = (*("language_tag", "menu_name", "use", "is_automatic"), precise(Captions, "created_at"))

    @admin.display(description=_("Language"))
    def language_tag(self, captions: Captions) -> str:
        """Return the language, as a BCP 47 tag."""
        return captions.language

    @admin.display(description=_("name"))
    def menu_name(self, captions: Captions) -> str:
        """Return the name in the player's menu."""
        return captions.name

    @admin.display(description=_("purpose"))
    def use(self, captions: Captions) -> str:
        """Return what they are for."""
        return str(CaptionPurpose(captions.purpose).label)

    @admin.display(description=_("automatic"), boolean=True)
    def is_automatic(self, captions: Captions) -> bool:
        """Return whether speech recognition has made them, and no person has edited their text."""
        return captions.is_automatic

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the large column."""
        return super().get_queryset(request).defer("webvtt")


@admin.register(Video)
class VideoAdmin(PageActions, PreciseTimes):
    """A video can be renamed, described, given to another owner, and deleted; everything else follows from its jobs.

    Files are uploaded on the pages, because the admin would keep a transaction open during the upload to
    the storage.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_display = ("status", "title_or_id", "progress", "owner_name", "who_may_watch", "created_at")
    list_display_links = ("title_or_id",)
    list_filter = ("visibility", OwnerFilter, ("created_at", admin.DateFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("title", "id")
    search_help_text = _("Title, id, or name of the owner")
    actions = ("retry", "transcode_again", "cancel", "revoke_share_links")
    raw_id_fields = ("owner",)  # unlike autocomplete, it needs no admin of the user model
    fields = (
        "title",
        "description",
        "owner",
        "visibility",
        "source_name",
        "status",
        "page_message",
        "progress",
        "published",
        "cost",
        "created_at",
        "event_history",
    )
    readonly_fields = (
        *("source_name", "status", "page_message", "progress", "published", "cost", "created_at", "event_history"),
    )
    inlines = (CaptionsOfVideo, JobsOfVideo)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False; see above."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Video]:
        """Return the videos that are not deleted."""
        return shown_videos()

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Add the owner's name, whatever the host's user model calls it."""
        return (*super().get_search_fields(request), owner_name("owner"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find a pasted id by its index. Anything else is searched in the text of all columns."""
        if (pk := as_uuid(search_term)) is not None:
            return queryset.filter(pk=pk), False
        return super().get_search_results(request, queryset, search_term)

    def possible_actions(self, row: Video) -> frozenset[str]:
        """Return the actions that the video's state allows."""
        return possible_for_video(row)

    def view_on_site(self, obj: Video) -> str | None:
        """Return the address of the video's page."""
        return video_url(obj)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Add the overview to each video of the page, in a fixed number of queries."""
        changes = super().get_changelist_instance(request)
        videos = list(changes.result_list)
        found = overviews(videos)
        for video in videos:
            video.overview = found[video.pk]
        changes.result_list = videos
        return changes

    @admin.display(description=_("title"), ordering="title")
    def title_or_id(self, video: Video) -> str:
        """Return the title, or the id if there is none."""
        return short_title(str(video))

    @admin.display(description=_("owner"))
    def owner_name(self, video: Video) -> str:
        """Return the owner, with a link to their videos."""
        return owner_link(video.owner)

    @admin.display(description=_("visibility"), ordering="visibility")
    def who_may_watch(self, video: Video) -> str:
        """Return the visibility without its explanation."""
        return str(_WHO_MAY_WATCH[Visibility(video.visibility)])

    @admin.display(description=_("storage name of the source"))
    def source_name(self, video: Video) -> str:
        """Return the storage name of the current source."""
        return str(video.source) or EMPTY_VALUE

    @admin.display(description=_("status"))
    def status(self, video: Video) -> SafeString:
        """Return the derived status as a coloured badge."""
        return badge(_overview(video).status)

    @admin.display(description=_("message on the page"))
    def page_message(self, video: Video) -> str:
        """Return the message shown on the video's page."""
        return _overview(video).message

    @admin.display(description=_("progress"))
    def progress(self, video: Video) -> SafeString:
        """Return the progress bar of the newest job."""
        return progress_bar(_overview(video).progress)

    @admin.display(description=_("published job"))
    def published(self, video: Video) -> str:
        """Return a link to the job whose output is shown."""
        return (
            page_link("job", video.published_job_id, str(video.published_job_id)[:8])
            if video.published_job_id
            else EMPTY_VALUE
        )

    @admin.display(description=_("cost"))
    def cost(self, video: Video) -> str:
        """Return what the containers of all of the video's jobs have cost so far."""
        return describe(costs_of("job__video", [video.pk]).get(video.pk))

    @admin.display(description=_("timeline"))
    def event_history(self, video: Video) -> SafeString:
        """Return the timeline of the video and all its jobs."""
        return timeline(video_timeline(video.pk))

    @admin.action(description=_("Retry (a DEAD job continues where it stopped)"), permissions=["change"])
    def retry(self, request: HttpRequest, videos: QuerySet[Video]) -> None:
        """Retry each video, like the button on its page."""
        for_each(self, request, videos, retry, success_label=_("Videos retried"))

    @admin.action(description=_("Transcode again (a new job, from the beginning)"), permissions=["change"])
    def transcode_again(self, request: HttpRequest, videos: QuerySet[Video]) -> None:
        """Request a new job for each video, with the chosen profile."""
        again = partial(transcode_again, profile=request.POST.get("profile", ""))
        for_each(self, request, videos, again, success_label=_("New jobs requested"))

    @admin.action(description=_("Cancel the active job"), permissions=["change"])
    def cancel(self, request: HttpRequest, videos: QuerySet[Video]) -> HttpResponse | None:
        """Cancel the active job of each video, once the user has confirmed that its work is lost."""
        question = gettext("Cancel the jobs of these videos? What is not published yet is lost.")
        if asked := confirmation(self, request, videos, action="cancel", question=question):
            return asked
        active = Job.objects.filter(video__in=videos, state__in=ACTIVE_JOB_STATES).defer("plan")
        for_each(self, request, active, cancel, success_label=_("Jobs cancelled"))
        return None

    @admin.action(description=_("Revoke all share links"), permissions=["change"])
    def revoke_share_links(self, request: HttpRequest, videos: QuerySet[Video]) -> HttpResponse | None:
        """Revoke the share links of each video, once the user has confirmed that they stop working."""
        question = gettext("Revoke all share links of these videos? Nobody can open one again.")
        if asked := confirmation(self, request, videos, action="revoke_share_links", question=question):
            return asked
        for_each(self, request, videos, revoke_links, success_label=_("Videos without share links"))
        return None

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """Describe the deletion: jobs end now, objects and rows are removed later. Nothing protects a video from it."""
        allowed = self.has_delete_permission(request)
        text = gettext("{video}: its jobs end now; its files and rows are removed later")
        effects = [text.format(video=video) for video in objs]
        names = self.opts
        return effects, {names.verbose_name_plural: len(effects)}, set() if allowed else {names.verbose_name}, []


def _overview(video: Video) -> VideoOverview:
    found: VideoOverview | None = getattr(video, "overview", None)
    return found or video_overview(video)
