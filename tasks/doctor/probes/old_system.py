"""Legacy check: settings, installed apps and beat entries that remain from the cron-based predecessor."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.db import connection

from ..finding import ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_OLD = re.compile(
    r"sqs_main|batch_main|batch_entrypoint|video_worker|"
    r"reconcile_batch_video_jobs|scan_stuck_video_jobs|detect_stuck_videos|enqueue_uploaded_videos|recover_dead_video_jobs|"
    r"purge_raw_videos|cleanup_orphan_video_storage|check_workers|deployment_readiness_check|check_batch_settings|netprobe",
    re.IGNORECASE,
)
"""Names of the predecessor's programs; docs/migrating.md lists the replacement of each."""

_OLD_SETTINGS = re.compile(
    r"(VIDEO_SQS_|VIDEO_.*_QUEUE_URL|VIDEO_JOB_LOCK_|VIDEO_TRANSCODE_LOCK_|VIDEO_WORKER_|VIDEO_BATCH_OPS_|VIDEO_STUCK_).*"
)
_ADVICE = "Find its replacement in docs/migrating.md, then remove it."


def check_legacy() -> Iterator[Finding]:
    """Yield a warning for each place where something was found."""
    found = [*_in_environment(), *_in_installed_apps(), *_in_schedule()]
    yield from found
    if not found:
        yield ok("legacy", "Nothing remains of the predecessor.")


def _in_environment() -> Iterator[Finding]:
    names = sorted(name for name, value in os.environ.items() if _OLD_SETTINGS.fullmatch(name) or _OLD.search(value))
    if names:
        yield warning("legacy", f"The environment still has {', '.join(names)}.", fix=_ADVICE)


def _in_installed_apps() -> Iterator[Finding]:
    old = [app for app in settings.INSTALLED_APPS if _OLD.search(app)]
    if old:
        yield warning("legacy", f"INSTALLED_APPS still has {', '.join(old)}.", fix=_ADVICE)


def _in_schedule() -> Iterator[Finding]:
    if not apps.is_installed("django_celery_beat"):
        return
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 - needs the app

    try:
        entries = PeriodicTask.objects.filter(enabled=True).values_list("name", "task")
        old = sorted(name for name, task in entries if _OLD.search(f"{name} {task}"))
    finally:
        connection.close()
    if old:
        yield warning("legacy", f"Beat still sends {', '.join(old)}.", fix=_ADVICE)
