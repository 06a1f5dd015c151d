"""Events and ticks in the admin: what happened everywhere, and whether the ticks come."""

from __future__ import annotations

from django.contrib import admin

from tasks.admin.shown import ReadOnlyAdmin
from tasks.models import Event, Tick


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The append-only record of everything."""

    list_display = ("created_at", "kind", "job_id", "attempt_number", "from_state", "to_state", "reason", "text")
    list_filter = ("kind", "reason")
    search_fields = ("job_id", "video_id", "text")
    show_full_result_count = False


@admin.register(Tick)
class TickAdmin(ReadOnlyAdmin):
    """The lease row of each beat task."""

    list_display = ("name", "fence", "started_at", "finished_at", "unbroken_since", "trouble", "trouble_text")
