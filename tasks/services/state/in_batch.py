"""Which attempts take up room in AWS Batch's queue."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES
from ...lifecycle.states import LIVE_ATTEMPT_STATES


def in_batch() -> Q:
    """Match attempts whose Batch job may take up room in the queue.

    These are live ones, and ended ones until AWS reports their Batch job as ended or missing. So one
    who uploads and deletes again and again does not fill the queue past its limit.
    """
    recently = Now() - timedelta(seconds=bridge_settings().final_status_wait_s)
    ended = Q(batch_job_id__isnull=False, ended_at__gt=recently) & ~batch_job_is_over()
    return Q(state__in=LIVE_ATTEMPT_STATES) | ended


def batch_job_is_over() -> Q:
    """Match attempts whose Batch job AWS has reported as ended, or has not had for several responses."""
    missing = Q(missing_responses__gte=bridge_settings().missing_responses_limit)
    return Q(batch_status__in=FINAL_STATUSES) | missing
