"""The table of ticks, and its synchronization with django-celery-beat's rows."""

from __future__ import annotations
