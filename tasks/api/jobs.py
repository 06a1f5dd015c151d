"""Jobs: their progress and cost, retry and cancel."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.http import Http404
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..lifecycle.errors import ConflictError
from ..models import Job
from ..selectors.access import Action
from ..selectors.costs import Cost, costs_of
from ..selectors.progress import job_progress
from ..selectors.videos import reason_text, videos_for
from ..services.requests.cancel import cancel_job
from ..services.requests.request import retry_video
from ..views.access import quota_owner, sees_costs
from ..views.progress import cost_as_json
from .endpoint import Endpoint
from .protocol.fields import shown
from .protocol.once import once
from .protocol.pages import page_of
from .schema import KEY, PAGE, described
from .shapes import JobPage, JobShown


class JobEndedError(ConflictError):
    """The job has ended, so it cannot be cancelled."""

    code = "JOB_ENDED"


class JobEndpoint(Endpoint):
    """A view that returns jobs."""

    tag = "jobs"

    def job(self, job_id: uuid.UUID, action: Action = "view") -> Job:
        """Return the job of a video with which this user may do this. Raises Http404."""
        job = Job.objects.defer("plan").filter(pk=job_id).first()
        if job is None:
            raise Http404
        self.video(job.video_id, action)
        return job

    def shown_jobs(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Return the jobs with their progress, and their cost for people who may see it."""
        progress = job_progress(jobs)
        with_costs = [job.pk for job in jobs if sees_costs(self.request.user, job.video)]
        costs = costs_of("job", with_costs) if with_costs else {}
        return [
            shown(
                JobShown,
                {
                    "id": job.pk,
                    "video": job.video_id,
                    "state": job.state,
                    "profile": job.profile,
                    "automatic": job.automatic,
                    "reason": job.reason,
                    "message": reason_text(job),
                    "created_at": job.created_at,
                    "finished_at": job.finished_at,
                    "progress": {
                        "percent": progress[job.pk].percent,
                        "stage": progress[job.pk].stage_label,
                        "units_done": progress[job.pk].units_done,
                        "units_total": progress[job.pk].units_total,
                        "containers": progress[job.pk].containers,
                        "attempt": progress[job.pk].attempt_number,
                        "remaining_s": progress[job.pk].remaining_s,
                    },
                    "cost": cost_as_json(costs.get(job.pk) or Cost()) if job.pk in with_costs else None,
                },
            )
            for job in jobs
        ]

    def response_with(self, job_id: uuid.UUID, *, status: int = 200) -> Response:
        """Return the response with one job."""
        job = Job.objects.defer("plan").select_related("video").get(pk=job_id)
        return Response(self.shown_jobs([job])[0], status=status)


class Jobs(JobEndpoint):
    """All jobs of a user's videos."""

    @described(
        "listJobs",
        parameters=[*PAGE, OpenApiParameter("video", uuid.UUID, description="Only the jobs of this video.")],
        responses=JobPage,
    )
    def get(self, request: Request) -> Response:
        """List the jobs of your videos, or of all with the permission `view_video`, newest first."""
        jobs = Job.objects.defer("plan").select_related("video")
        if (text := request.query_params.get("video")) is not None:
            jobs = jobs.filter(video=self.video(_uuid(text)))
        else:
            jobs = jobs.filter(video__in=videos_for(request.user).values("pk"))
        page, links = page_of(request, jobs)
        return Response({**links, "results": self.shown_jobs(page)})


class OneJob(JobEndpoint):
    """One job."""

    @described("readJob", responses=JobShown)
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """Read a job."""
        return self.response_with(self.job(job_id).pk)


class Cancellation(JobEndpoint):
    """The end of a job before its result."""

    @described("cancelJob", responses=JobShown)
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Cancel a job. What is published stays. 409 `JOB_ENDED` if it has ended."""
        job = self.job(job_id, "change")
        if not cancel_job(job_id=job.pk):
            message = gettext("The job has ended.")
            raise JobEndedError(message)
        return self.response_with(job.pk)


class Retry(JobEndpoint):
    """Another try for a video that could not be processed."""

    @described("retryVideo", parameters=[KEY], responses={202: JobShown})
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Process a video again: a DEAD job continues where it stopped, otherwise a new one begins.

        409 `RETRY_NOT_OFFERED` while it is being processed, and once it is ready.
        """
        video = self.video(video_id, "change")

        def create(_: uuid.UUID) -> Response:
            result = retry_video(video_id=video.pk, owner=quota_owner(self.http_request, video))
            return self.response_with(result.job_id, status=202)

        return once(request, create, in_one_transaction=True)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise serializers.ValidationError({"video": gettext("This is no UUID.")}) from None
