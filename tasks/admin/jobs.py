"""Jobs in the admin: state, progress, attempts, units, timeline and log."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..models import Attempt, Job, Unit
from ..selectors.costs import costs_of, describe
from ..selectors.history.timeline import job_timeline
from ..selectors.operations.failures import failure_of
from ..selectors.progress import JobProgress, job_progress
from ..texts.stored import job_message, translated
from ..transcode import SUMMARY, ProfileError, profile_from_json, summary
from .actions import cancel, confirmation, for_each, possible_for_job, retry, revive_job, to_front, transcode_again
from .attempts import cost_label, heartbeat_label, log_link, with_heartbeat_age
from .owners import OwnerFilter, as_uuid, owner_link, owner_name, video_url
from .page_actions import PageActions
from .widgets import (
    EMPTY_VALUE,
    ReadOnlyAdmin,
    ReadOnlyInline,
    ReasonFilter,
    badge,
    counted_label,
    page_link,
    precise,
    progress_bar,
    short_title,
    timeline,
)
from .work.views import JobViews, live_context


class AttemptsOfJob(ReadOnlyInline):
    """The job's attempts, newest first."""

    model = Attempt
    fields = readonly_fields = (
        "attempt",
        "state_badge",
        "message",
        "counts",
        "exit_code",
        "batch_status",
        "heartbeat",
        "cost",
        precise(Attempt, "ended_at"),
        "log",
    )
    ordering = ("-number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the heartbeat's age."""
        return with_heartbeat_age(super().get_queryset(request))

    @admin.display(description=_("attempt"))
    def attempt(self, attempt: Attempt) -> SafeString:
        """Return a link to the attempt."""
        return page_link("attempt", attempt.pk, gettext("attempt {number}").format(number=attempt.number))

    @admin.display(description=_("state"))
    def state_badge(self, attempt: Attempt) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(attempt.state)

    @admin.display(description=_("attempt limit"))
    def counts(self, attempt: Attempt) -> str:
        """Return whether it counts."""
        return counted_label(attempt.counted)

    @admin.display(description=_("reason message"))
    def message(self, attempt: Attempt) -> str:
        """Return why the attempt ended. What AWS and other programs reported is in their words."""
        return job_message(attempt.reason_message, None, attempt.reason) or EMPTY_VALUE

    @admin.display(description=_("heartbeat"))
    def heartbeat(self, attempt: Attempt) -> str:
        """Return the time or age of the last heartbeat."""
        return heartbeat_label(attempt)

    @admin.display(description=_("cost"))
    def cost(self, attempt: Attempt) -> str:
        """Return the cost and the part of it that was lost."""
        return cost_label(attempt)

    @admin.display(description=_("log"))
    def log(self, attempt: Attempt) -> SafeString:
        """Return a link to the end of the container's log."""
        return log_link(attempt)


@admin.register(Job)
class JobAdmin(JobViews, PageActions, ReadOnlyAdmin):
    """A job with its work, its attempts and its timeline. It can only be changed through its actions."""

    change_form_template = "admin/batchreel/job_page.html"
    list_display = ("state_badge", "title", "progress", "reason", "owner", "created_at")
    list_display_links = ("title",)
    list_filter = ("state", "priority", OwnerFilter, ("created_at", admin.DateFieldListFilter), ReasonFilter)
    list_select_related = ("video__owner",)
    search_fields = ("id", "video__title", "video__id", "attempts__batch_job_id")
    search_help_text = _("Title, id of the job or its video, id in AWS Batch, or name of the owner")
    actions = ("retry", "transcode_again", "revive", "to_front", "cancel")
    fieldsets = (
        (None, {"fields": ("video_page", "state_badge", "progress", "reason_and_advice", "cost")}),
        (
            _("Details"),
            {
                "classes": ("collapse",),
                "fields": (
                    *("id", "priority", "automatic", "profile_summary", "source_name", "engine", "playlist_key"),
                    *("unit_counts", "fence", "next_attempt_at", "source_playable_at", "created_at", "finished_at"),
                ),
            },
        ),
        (_("History"), {"fields": ("event_history",)}),
    )
    readonly_fields = (
        *("video_page", "state_badge", "progress", "reason_and_advice", "cost", "id", "priority", "automatic"),
        *("profile_summary", "source_name", "engine", "playlist_key", "unit_counts", "fence", "next_attempt_at"),
        *("source_playable_at", "created_at", "finished_at", "event_history"),
    )
    inlines = (AttemptsOfJob,)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run the actions.

        Jobs cannot be edited, but the permission to change them grants the actions.
        """
        return request.user.has_perm("batchreel.change_job")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the large columns."""
        return super().get_queryset(request).defer("plan")

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Add the owner's name, whatever the host's user model calls it."""
        return (*super().get_search_fields(request), owner_name("video__owner"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find a pasted id by its index. Anything else is searched in the text of all columns."""
        if (pk := as_uuid(search_term)) is not None:
            return queryset.filter(Q(pk=pk) | Q(video=pk)), False
        return super().get_search_results(request, queryset, search_term)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Add the progress to each job of the page, in a fixed number of queries."""
        changes = super().get_changelist_instance(request)
        jobs = list(changes.result_list)
        found = job_progress(jobs)
        for job in jobs:
            job.progress = found[job.pk]
        changes.result_list = jobs
        return changes

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add the chart and the log."""
        job = self.get_object(request, object_id)
        parts = live_context(job) if job and self.has_view_permission(request, job) else {}
        return super().change_view(request, object_id, form_url, {**parts, **(extra_context or {})})

    def possible_actions(self, row: Job) -> frozenset[str]:
        """Return the actions that the job's state allows."""
        return possible_for_job(row)

    def view_on_site(self, obj: Job) -> str | None:
        """Return the address of the video's page, or None if the video was deleted."""
        return video_url(obj.video)

    @admin.display(description=_("title"), ordering="video__title")
    def title(self, job: Job) -> str:
        """Return the title of the video, or what identifies it."""
        return short_title(str(job.video))

    @admin.display(description=_("owner"))
    def owner(self, job: Job) -> str:
        """Return the owner of the video, with a link to their jobs."""
        return owner_link(job.video.owner)

    @admin.display(description=_("video"))
    def video_page(self, job: Job) -> str:
        """Return a link to the video, or only its title if it was deleted and has no page."""
        if job.video.deleted_at:
            return gettext("{video} (deleted)").format(video=job.video)
        return page_link("video", job.video_id, short_title(str(job.video)))

    @admin.display(description=_("reason"))
    def reason_and_advice(self, job: Job) -> SafeString | str:
        """Return why the job ended or waits, and what an operator can do about it."""
        if not job.reason:
            return EMPTY_VALUE
        return render_to_string("admin/batchreel/reason.html", {"failure": failure_of(job)})

    @admin.display(description=_("profile"))
    def profile_summary(self, job: Job) -> str:
        """Return the profile's name, and what it was when the job was requested."""
        try:
            return f"{job.profile}: {summary(profile_from_json(job.profile_fields), translated(SUMMARY))}"
        except ProfileError:
            return job.profile

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, job: Job) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(job.state)

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> SafeString:
        """Return the progress bar."""
        found: JobProgress | None = getattr(job, "progress", None)
        return progress_bar(found or job_progress([job])[job.pk])

    @admin.display(description=_("units"))
    def unit_counts(self, job: Job) -> str:
        """Return the number of units of each kind in each state."""
        counts = Unit.objects.filter(job=job).order_by("kind", "state").values_list("kind", "state")
        return ", ".join(
            f"{kind} {state}: {number}" for kind, state, number in counts.annotate(number=Count("pk"))
        ) or (gettext("removed: the job has ended") if job.pruned_at else gettext("none yet"))

    @admin.display(description=_("cost"))
    def cost(self, job: Job) -> str:
        """Return what the job's containers have cost so far."""
        return describe(costs_of("job", [job.pk]).get(job.pk))

    @admin.display(description=_("timeline"))
    def event_history(self, job: Job) -> SafeString:
        """Return the timeline."""
        return timeline(job_timeline(job.pk))

    @admin.action(description=_("Retry the video (a DEAD job continues where it stopped)"), permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Retry the video of each job, like the button on the video's page."""
        for_each(self, request, jobs, lambda job: retry(job.video), success_label=_("Videos retried"))

    @admin.action(description=_("Transcode the video again (a new job, from the beginning)"), permissions=["operate"])
    def transcode_again(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Request a new job for the video of each job."""
        profile = request.POST.get("profile", "")
        for_each(
            self,
            request,
            jobs,
            lambda job: transcode_again(job.video, profile=profile),
            success_label=_("New jobs requested"),
        )

    @admin.action(description=_("Revive (a DEAD job gets new attempts)"), permissions=["operate"])
    def revive(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Revive each DEAD job."""
        for_each(self, request, jobs, revive_job, success_label=_("Jobs revived"))

    @admin.action(
        description=_("Move to the front (a bulk job gets the priority of an upload)"), permissions=["operate"]
    )
    def to_front(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Give each bulk job the priority of an upload."""
        for_each(self, request, jobs, to_front, success_label=_("Jobs moved"))

    @admin.action(description=_("Cancel"), permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse | None:
        """Cancel each job, once the user has confirmed that its work is lost."""
        question = gettext("Cancel these jobs? What is not published yet is lost.")
        if asked := confirmation(self, request, jobs, action="cancel", question=question):
            return asked
        for_each(self, request, jobs, cancel, success_label=_("Jobs cancelled"))
        return None
