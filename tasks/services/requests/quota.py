"""Quotas of an owner: how many files, bytes, jobs and retries one account may have at a time.

They are for requests of people on the pages. Jobs of videos that the site's own code saves have
none, and the jobs of an import count for nobody.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext, ngettext

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError
from ...lifecycle.states import ACTIVE_JOB_STATES, JobPriority, JobState
from ...models import Attempt, DirectUpload, Event, Job, Video
from ...texts.numbers import one_decimal, short_number
from ..state.in_batch import in_batch

EXEMPT = "batchreel.exceed_quotas"
"""The permission of users without quotas. Superusers have it."""

RETRY_EVENT = "video.retry"
"""Kind of the event that an owner's retry appends. Those of operators and of bulk requests are not counted."""

_GIB = 1024**3
_DAY = timedelta(days=1)


class Quota(enum.StrEnum):
    """The quotas, by their stable codes."""

    OPEN_UPLOADS = "QUOTA_OPEN_UPLOADS"
    OPEN_UPLOAD_BYTES = "QUOTA_OPEN_UPLOAD_BYTES"
    STORED_BYTES = "QUOTA_STORED_BYTES"
    ACTIVE_JOBS = "QUOTA_ACTIVE_JOBS"
    RETRIES = "QUOTA_RETRIES"


class QuotaError(ConflictError):
    """The owner's quota is used up; `code` names it."""

    def __init__(self, quota: Quota, message: str) -> None:
        """Store the code."""
        super().__init__(message)
        self.code = quota.value


def lock_owner(owner: Any) -> None:
    """Lock the owner's row until the transaction ends, so that two requests cannot both take the last place.

    Take this lock before the video's. A no-op for None.
    """
    if owner is not None:
        get_user_model().objects.select_for_update(no_key=True, of=("self",)).filter(pk=owner.pk).first()


def check_upload(owner: Any, *, size_bytes: int, direct: bool) -> None:
    """Raise QuotaError if the owner may not upload a file of this size now.

    `direct` is whether it is a direct upload, which is open until its last part has arrived.
    """
    if not _has_quotas(owner):
        return
    conf = bridge_settings()
    if direct:
        found = DirectUpload.objects.filter(video__owner=owner.pk, video__deleted_at=None).aggregate(
            number=Count("pk"), size_bytes=Sum("size_bytes", default=0)
        )
        if 0 < conf.owner_open_uploads <= found["number"]:
            text = ngettext(
                "You have {number} upload that is not complete. Continue it with the same file, or delete it.",
                "You have {number} uploads that are not complete. Continue them with the same files, or delete them.",
                found["number"],
            )
            raise QuotaError(Quota.OPEN_UPLOADS, text.format(number=found["number"]))
        if 0 < conf.owner_open_upload_bytes < found["size_bytes"] + size_bytes:
            text = gettext(
                "Your uploads that are not complete have {size} GiB. With this file they would have more than {limit} GiB."
                " Complete or delete one of them."
            )
            limit = short_number(conf.owner_open_upload_bytes / _GIB)
            message = text.format(size=one_decimal(found["size_bytes"] / _GIB), limit=limit)
            raise QuotaError(Quota.OPEN_UPLOAD_BYTES, message)
    if conf.owner_stored_bytes:
        stored_bytes = Video.objects.filter(owner=owner.pk, deleted_at=None).aggregate(
            size_bytes=Sum("source_bytes", default=0)
        )["size_bytes"]
        if stored_bytes + size_bytes > conf.owner_stored_bytes:
            text = gettext(
                "Your files have {size} GiB. With this one they would have more than {limit} GiB."
                " Delete videos that you do not need."
            )
            limit = short_number(conf.owner_stored_bytes / _GIB)
            raise QuotaError(Quota.STORED_BYTES, text.format(size=one_decimal(stored_bytes / _GIB), limit=limit))
    _check_active_jobs(owner)


def check_retry(owner: Any) -> None:
    """Raise QuotaError if the owner may not retry a video now."""
    if not _has_quotas(owner):
        return
    limit = bridge_settings().owner_retries_per_day
    if limit and _retries_today(owner) >= limit:
        text = ngettext(
            "You have retried {limit} time within 24 hours. Try again tomorrow, or ask an operator for help.",
            "You have retried {limit} times within 24 hours. Try again tomorrow, or ask an operator for help.",
            limit,
        )
        raise QuotaError(Quota.RETRIES, text.format(limit=limit))
    _check_active_jobs(owner)


def _check_active_jobs(owner: Any) -> None:
    limit = bridge_settings().owner_active_jobs
    # A cancelled job, of a deleted video for example, counts until its Batch job has ended.
    still_in_batch = Attempt.objects.filter(in_batch(), job=OuterRef("pk"))
    counted = Q(state__in=ACTIVE_JOB_STATES) | Q(Exists(still_in_batch), state=JobState.CANCELLED)
    active = Job.objects.filter(counted, video__owner=owner.pk, priority=JobPriority.UPLOAD)
    if limit and active.count() >= limit:
        text = ngettext(
            "{limit} of your videos is being processed. Try again when it is ready.",
            "{limit} of your videos are being processed. Try again when one of them is ready.",
            limit,
        )
        raise QuotaError(Quota.ACTIVE_JOBS, text.format(limit=limit))


def _retries_today(owner: Any) -> int:
    own = Video.objects.filter(owner=owner.pk).values("pk")
    return Event.objects.filter(kind=RETRY_EVENT, video_id__in=own, created_at__gt=Now() - _DAY).count()


def _has_quotas(owner: Any) -> bool:
    """Return False for None, which is a script, and for users with the permission."""
    has_perm = getattr(owner, "has_perm", None)
    return owner is not None and not (has_perm and has_perm(EXEMPT))
