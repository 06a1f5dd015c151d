"""Attempts and units in the admin: what the containers and AWS Batch said."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from tasks.admin.shown import ReadOnlyAdmin, badge
from tasks.models import Attempt, Unit


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """One container run, which is one Batch job."""

    list_display = ("job_id", "number", "state_badge", "reason", "charged", "batch_status", "heartbeat_at", "ended_at")
    list_filter = ("state", "reason", "charged", "batch_status")
    search_fields = ("job__id", "batch_job_id", "batch_job_name")
    ordering = ("-id",)
    show_full_result_count = False

    @admin.display(description="state", ordering="state")
    def state_badge(self, attempt: Attempt) -> SafeString:
        """The state in its colour."""
        return badge(attempt.state)


@admin.register(Unit)
class UnitAdmin(ReadOnlyAdmin):
    """A piece of a job's work."""

    list_display = ("job_id", "kind", "index", "state_badge", "fence", "attempt_id", "leased_at", "done_at")
    list_filter = ("kind", "state")
    search_fields = ("job__id",)
    ordering = ("-id",)
    show_full_result_count = False

    @admin.display(description="state", ordering="state")
    def state_badge(self, unit: Unit) -> SafeString:
        """The state in its colour."""
        return badge(unit.state)
