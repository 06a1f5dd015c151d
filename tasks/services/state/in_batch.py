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
    conf = bridge_settings()
    gone = Q(batch_status__in=FINAL_STATUSES) | Q(missing_responses__gte=conf.missing_responses_limit)
    ended = Q(batch_job_id__isnull=False, ended_at__gt=Now() - timedelta(seconds=conf.final_status_wait_s)) & ~gone
    return Q(state__in=LIVE_ATTEMPT_STATES) | ended
