"""Jobs in the admin: state, progress, attempts, units, timeline and log."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..batch.logs import log_tail
from ..models import Attempt, Job, Unit
from ..selectors.costs import costs_of, describe
from ..selectors.history.timeline import job_timeline
from ..selectors.progress import JobProgress, job_progress
from ..selectors.videos import reason_text
from ..texts.stored import job_message, translated
from ..transcode import SUMMARY, ProfileError, profile_from_json, summary
from .actions import cancel, for_each, retry, revive_job, to_front, transcode_again
from .attempts import cost_label, heartbeat_label, with_heartbeat_age
from .page_actions import PageActions
from .widgets import EMPTY_VALUE, ReadOnlyAdmin, ReadOnlyInline, ReasonFilter, badge, page_link, progress_bar, timeline


class AttemptsOfJob(ReadOnlyInline):
    """The job's attempts, newest first."""

    model = Attempt
    fields = readonly_fields = (
        "attempt",
        "state",
        "message",
        "counted",
        "exit_code",
        "batch_status",
        "stage",
        "heartbeat",
        "cost",
        "ended_at",
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
        return _log_link(attempt.job_id, attempt.number)


@admin.register(Job)
class JobAdmin(PageActions, ReadOnlyAdmin):
    """A job with its attempts and its timeline. It can only be changed through its actions."""

    list_display = (
        "short_id",
        "video",
        "state_badge",
        "priority",
        "progress",
        "fence",
        "reason",
        "created_at",
        "finished_at",
    )
    list_filter = ("state", "priority", ReasonFilter)
    list_select_related = ("video",)
    search_fields = ("id", "video__title", "video__id", "attempts__batch_job_id")
    actions = ("retry", "transcode_again", "revive", "to_front", "cancel")
    fields = (
        "id",
        "video_page",
        "state_badge",
        "priority",
        "progress",
        "reason",
        "message",
        "source_name",
        "profile_summary",
        "engine",
        "automatic",
        "fence",
        "next_attempt_at",
        "unit_counts",
        "cost",
        "newest_log",
        "playlist_key",
        "source_playable_at",
        "created_at",
        "finished_at",
        "event_history",
    )
    readonly_fields = fields
    inlines = (AttemptsOfJob,)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run the actions.

        Jobs cannot be edited, but the permission to change them grants the actions.
        """
        return request.user.has_perm("batchreel.change_job")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the large columns."""
        return super().get_queryset(request).defer("plan")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Add the progress to each job of the page, in a fixed number of queries."""
        changes = super().get_changelist_instance(request)
        jobs = list(changes.result_list)
        found = job_progress(jobs)
        for job in jobs:
            job.progress = found[job.pk]
        changes.result_list = jobs
        return changes

    def get_urls(self) -> list[URLPattern]:
        """Add the log of an attempt to Django's URLs."""
        log = path(
            "<uuid:job_id>/log/<int:number>/", self.admin_site.admin_view(self.log_view), name="batchreel_job_log"
        )
        return [log, *super().get_urls()]

    def log_view(self, request: HttpRequest, job_id: Any, number: int) -> HttpResponse:
        """Show the end of an attempt's log, from CloudWatch Logs.

        Raises PermissionDenied if the user may not view jobs.
        """
        # admin_view admits all staff users.
        if not self.has_view_permission(request):
            raise PermissionDenied
        attempt = get_object_or_404(Attempt, job_id=job_id, number=number)
        tail = log_tail(attempt.batch_log_stream)
        title = gettext("Log of attempt {number}").format(number=number)
        context = {**self.admin_site.each_context(request), "title": title, "attempt": attempt, "tail": tail}
        return TemplateResponse(request, "admin/batchreel/log.html", context)

    @admin.display(description=_("job"))
    def short_id(self, job: Job) -> str:
        """Return enough of the id to distinguish jobs."""
        return str(job.pk)[:8]

    @admin.display(description=_("video"))
    def video_page(self, job: Job) -> str:
        """Return a link to the video, or only its title if it was deleted and has no page."""
        if job.video.deleted_at:
            return gettext("{video} (deleted)").format(video=job.video)
        return page_link("video", job.video_id, job.video)

    @admin.display(description=_("reason message"))
    def message(self, job: Job) -> str:
        """Return why the job ended."""
        return reason_text(job) or EMPTY_VALUE

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

    @admin.display(description=_("log"))
    def newest_log(self, job: Job) -> str:
        """Return a link to the newest attempt's log. It has its own page, so that this page never waits for AWS."""
        return _log_link(job.pk, job.fence) if job.fence else EMPTY_VALUE

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
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Cancel each job."""
        for_each(self, request, jobs, cancel, success_label=_("Jobs cancelled"))


def _log_link(job_id: uuid.UUID, number: int) -> SafeString:
    url = reverse("admin:batchreel_job_log", args=[job_id, number])
    return format_html('<a href="{}">{}</a>', url, gettext("log of attempt {number}").format(number=number))
