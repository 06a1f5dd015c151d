"""The views of a job's page: its chart and the logs of its containers, whole or as the part that is replaced.

While the job is active, a script asks for these parts again and again. Nothing is lost without it.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from ...batch.logs import log_tail
from ...lifecycle.states import ACTIVE_JOB_STATES, LIVE_ATTEMPT_STATES
from ...models import Attempt, Job
from ...selectors.operations.work import work_of
from ...selectors.progress import job_progress
from ..widgets import AnyAdmin, badge
from .drawing import chart_of
from .log_lines import shown_lines

LIVE_S = 5
"""Seconds between two requests for a part. The rows change with each unit, which takes about a minute."""

PART = "part"
"""Parameter of a request for the part alone."""

IS_OVER = "Batchreel-Live"
"""Header of a part that will not change any more; its value is `over`."""


def chart_context(job: Job) -> dict[str, Any]:
    """Return what the template of the chart needs."""
    work = work_of(job)
    return {"chart": chart_of(work), "job_state": badge(job.state), "job_progress": job_progress([job])[job.pk]}


def live_context(job: Job) -> dict[str, Any]:
    """Return what the page needs for its chart and its log: the first part, and where the next ones are."""
    is_active = job.state in ACTIVE_JOB_STATES
    log_url = reverse("admin:batchreel_job_log", args=[job.pk, job.fence]) if job.fence else ""
    return {
        **chart_context(job),
        "live_s": LIVE_S if is_active else 0,
        "chart_url": reverse("admin:batchreel_job_work", args=[job.pk]),
        "log_url": log_url,
        "log_part_url": f"{log_url}?{PART}=1" if log_url else "",
        "log_number": job.fence,
    }


class JobViews(AnyAdmin):
    """Admin of jobs with the views of the chart and of logs."""

    def get_urls(self) -> list[URLPattern]:
        """Add the views to Django's URLs."""
        site = self.admin_site
        return [
            path("<uuid:job_id>/log/<int:number>/", site.admin_view(self.log_view), name="batchreel_job_log"),
            path("<uuid:job_id>/work/", site.admin_view(self.work_view), name="batchreel_job_work"),
            *super().get_urls(),
        ]

    def work_view(self, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
        """Show the chart as it is now, without the page around it.

        Raises PermissionDenied if the user may not view jobs.
        """
        self._require_view(request)
        job = get_object_or_404(Job.objects.defer("plan"), pk=job_id)
        response = render(request, "admin/batchreel/work_chart.html", chart_context(job))
        return _live(response, is_over=job.state not in ACTIVE_JOB_STATES)

    def log_view(self, request: HttpRequest, job_id: uuid.UUID, number: int) -> HttpResponse:
        """Show the end of an attempt's log, from CloudWatch Logs: a page, or its lines alone.

        Raises PermissionDenied if the user may not view jobs.
        """
        self._require_view(request)
        attempt = get_object_or_404(Attempt, job_id=job_id, number=number)
        tail = log_tail(attempt.batch_log_stream)
        is_over = attempt.state not in LIVE_ATTEMPT_STATES
        context = {"attempt": attempt, "message": tail.message, "lines": shown_lines(tail.lines)}
        if PART in request.GET:
            return _live(render(request, "admin/batchreel/log_lines.html", context), is_over=is_over)
        page = {
            **self.admin_site.each_context(request),
            "title": gettext("Log of attempt {number}").format(number=number),
            "live_s": 0 if is_over else LIVE_S,
            "part_url": f"{request.path}?{PART}=1",
            **context,
        }
        return TemplateResponse(request, "admin/batchreel/log.html", page)

    def _require_view(self, request: HttpRequest) -> None:
        # admin_view admits all staff users.
        if not self.has_view_permission(request):
            raise PermissionDenied


def _live(response: HttpResponse, *, is_over: bool) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    if is_over:
        response[IS_OVER] = "over"
    return response
