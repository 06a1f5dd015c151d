"""Events and ticks in the admin: what happened everywhere, and whether the ticks come."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ..models import Event, Tick
from ..selectors.timeline import EVENT_LABELS
from .widgets import ReadOnlyAdmin


class KindFilter(admin.SimpleListFilter):
    """Events of one kind. The kinds are known: asking the table for them would read all that ever happened."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Each kind with its words."""
        return [(str(kind), words) for kind, words in EVENT_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The events of the chosen kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The append-only record of everything."""

    list_display = ("created_at", "kind", "job_id", "attempt_number", "from_state", "to_state", "reason", "text")
    list_filter = (KindFilter,)
    search_fields = ("job_id", "video_id", "reason", "text")
    show_full_result_count = False


@admin.register(Tick)
class TickAdmin(ReadOnlyAdmin):
    """The lease row of each beat task."""

    list_display = ("name", "fence", "started_at", "finished_at", "continuous_since", "error_code", "error_message")
