"""The ticks as one table, and its sync to django-celery-beat's rows."""

from __future__ import annotations
