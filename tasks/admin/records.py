"""Events and ticks in the admin: everything that happened, and whether the ticks run."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..models import Event, Tick
from ..selectors.history.timeline import EVENT_LABELS, text_of
from .widgets import EMPTY_VALUE, ReadOnlyAdmin, page_link


class KindFilter(admin.SimpleListFilter):
    """Filter by kind of event. The kinds come from the code: a query for them would scan the whole table."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return each kind with its label."""
        return [(str(kind), str(label)) for kind, label in EVENT_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the events of the selected kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The append-only history."""

    list_display = ("created_at", "kind", "job_link", "attempt_number", "change", "reason", "shown_text")
    exclude = ("text",)
    readonly_fields = ("shown_text",)
    list_filter = (KindFilter,)
    search_fields = ("job_id", "video_id", "reason", "text")

    @admin.display(description=_("job"))
    def job_link(self, event: Event) -> str:
        """Return a link to the job by the beginning of its id. It may be gone: events outlive other rows."""
        return page_link("job", event.job_id, str(event.job_id)[:8]) if event.job_id else EMPTY_VALUE

    @admin.display(description=_("state"))
    def change(self, event: Event) -> str:
        """Return the states before and after the event."""
        return f"{event.from_state or EMPTY_VALUE} → {event.to_state}" if event.to_state else EMPTY_VALUE

    @admin.display(description=_("text"))
    def shown_text(self, event: Event) -> str:
        """Return the text."""
        return text_of(event) or EMPTY_VALUE


@admin.register(Tick)
class TickAdmin(ReadOnlyAdmin):
    """The lease row of each beat task."""

    list_display = (
        *("name", "started_at", "succeeded_at", "continuous_since"),
        *("fence", "failures", "error_code", "error_message"),
    )
