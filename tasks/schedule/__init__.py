"""The table of ticks, and the two ways to give them to beat: CELERY_BEAT_SCHEDULE and django-celery-beat's rows."""

from __future__ import annotations

from .ticks import beat_schedule

__all__ = ["beat_schedule"]
