"""Receivers: they hear that a source is complete, and ask for its job in the same transaction as the caller's.

Others hear that the tables were migrated or that beat starts, and bring up to date what the database has from the code.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from celery.signals import beat_init
from django.db import DatabaseError
from django.db.models.signals import post_migrate, post_save
from django.dispatch import receiver

from .database_role import renew_rights
from .models import Video
from .services.requests.delete import delete_video
from .services.requests.request import request_automatically
from .signals import deletion_requested, upload_completed

logger = logging.getLogger(__name__)


@receiver(post_save, sender=Video)
def _video_saved(*, instance: Video, raw: bool = False, **_: Any) -> None:
    """A saved video: asks once per source, so saving it again or editing its title starts nothing. Fixtures ask through the tick."""
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
    # `flush` sends this too, without a plan. On the way back, columns are gone that this code's containers have rights to.
    if app_config.label == "batchreel" and plan is not None and not any(backwards for _, backwards in plan):
        renew_rights()
    if app_config.label == "django_celery_beat":
        from .schedule.sync import sync_entries  # noqa: PLC0415 - its models exist only after migrating

        sync_entries()


@beat_init.connect
def _beat_starts(**_: Any) -> None:
    """The periods are settings: where beat sent ticks at other periods than their workers expect, each run of ticks would be broken."""
    from .schedule.sync import sync_entries  # noqa: PLC0415 - beat alone needs it at once

    try:
        sync_entries()
    except DatabaseError as error:
        logger.warning("SCHEDULE_NOT_WRITTEN %s", error)
