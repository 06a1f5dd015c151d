"""Where the site's beat takes its entries from: CELERY_BEAT_SCHEDULE, or django-celery-beat's rows."""

from __future__ import annotations

from celery.beat import Scheduler
from celery.utils.imports import symbol_by_name
from django.apps import apps

from ..broker.app import celery_app
from .ticks import Tick


def uses_database_scheduler() -> bool:
    """Return True if beat reads django-celery-beat's rows, by its DatabaseScheduler or a subclass of it.

    An option of the command line, `--scheduler`, is unknown here.
    """
    name = str(celery_app().conf.beat_scheduler)
    if not apps.is_installed("django_celery_beat"):
        return name.startswith("django_celery_beat.")
    from django_celery_beat.schedulers import DatabaseScheduler  # noqa: PLC0415 - imports models, which need the app

    try:
        scheduler: type[Scheduler] = symbol_by_name(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return issubclass(scheduler, DatabaseScheduler)


def is_scheduled_in_code(tick: Tick) -> bool:
    """Return True if CELERY_BEAT_SCHEDULE has an entry of this tick."""
    return any(entry.get("task") == tick.task for entry in (celery_app().conf.beat_schedule or {}).values())
