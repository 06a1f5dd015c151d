"""Signal receivers.

When a source is complete, they request its job in the caller's transaction. After migrations, and
when beat starts, they update what the database has copied from the code: the grants of the
containers' roles and the beat entries.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from celery.signals import beat_init
from django.apps import apps
from django.db import DatabaseError
from django.db.models.signals import post_migrate, post_save
from django.dispatch import receiver

from .database_role import renew_grants
from .models import Video
from .schedule import worker_exit  # noqa: F401 - connects its own receivers
from .services.requests.delete import delete_video
from .services.requests.request import request_automatically
from .signals import deletion_requested, upload_completed

logger = logging.getLogger(__name__)


@receiver(post_save, sender=Video)
def _video_saved(*, instance: Video, raw: bool = False, **_: Any) -> None:
    """Request the job of a saved video.

    A source is requested once, so saving the video again or editing its title starts nothing.
    Videos loaded from fixtures get their job from the submit tick.
    """
    if not raw:
        request_automatically(video_id=instance.pk)


@receiver(upload_completed)
def _upload_completed(*, video: Video, **_: Any) -> None:
    request_automatically(video_id=video.pk)


@receiver(deletion_requested)
def _deletion_requested(*, video_id: uuid.UUID, **_: Any) -> None:
    delete_video(video_id=video_id)


@receiver(post_migrate)
def _migrated(*, app_config: Any, plan: list[tuple[Any, bool]] | None = None, **_: Any) -> None:
    # `flush` also sends this signal, without a plan. After a backwards migration, columns that
    # GRANTS names may be missing.
    if app_config.label == "batchreel" and plan is not None and not any(backwards for _, backwards in plan):
        renew_grants()
    if app_config.label == "django_celery_beat":
        from .schedule.sync import sync_entries  # noqa: PLC0415 - its tables exist only after migrating

        sync_entries()


@beat_init.connect
def _beat_starts(**_: Any) -> None:
    """Write the beat entries with the current periods, if the site has django-celery-beat.

    Periods are settings. If beat sent ticks with another period than the workers expect, every
    series of ticks would seem to have gaps.
    """
    if not apps.is_installed("django_celery_beat"):
        return
    from .schedule.sync import sync_entries  # noqa: PLC0415 - only beat needs it on start

    try:
        sync_entries()
    except DatabaseError as error:
        logger.warning("SCHEDULE_NOT_WRITTEN %s", error)
