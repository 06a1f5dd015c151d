"""Building blocks of the admin: read-only pages, progress bars, badges, timelines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..selectors.distinct import distinct_values
from ..selectors.history.timeline import TimelineEntry
from ..selectors.progress import JobProgress

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = admin.ModelAdmin
    AnyInline = admin.TabularInline

EMPTY_VALUE = "-"

_GREEN = "light-dark(#1a7f37, #3fb950)"
_BLUE = "light-dark(#0969da, #58a6ff)"
_RED = "light-dark(#cf222e, #ff7b72)"
_ORANGE = "light-dark(#bc4c00, #ffa657)"

_COLOURS = {
    **dict.fromkeys(("SUCCEEDED", "DONE", "READY"), _GREEN),
    **dict.fromkeys(("RUNNING", "LEASED", "PROCESSING", "UPDATING"), _BLUE),
    **dict.fromkeys(("FAILED", "DEAD"), _RED),
    **dict.fromkeys(("LOST", "RETRY_WAIT"), _ORANGE),
}


MAX_COUNTED_ROWS = 10_000
"""Lists of the admin count and show no more rows: a filter or a search finds older ones."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """Paginator that never counts a whole table."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most MAX_COUNTED_ROWS."""
        rows: Any = self.object_list
        counted: int = rows.order_by()[:MAX_COUNTED_ROWS].count()
        return counted


class ReasonFilter(admin.SimpleListFilter):
    """Filter by reason. Only reasons that occur are shown, each found by one step in the index."""

    title = _("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the reasons that occur in the table."""
        return [(reason, reason) for reason in distinct_values(model_admin.model, "reason") if reason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the selected reason."""
        return queryset.filter(reason=self.value()) if self.value() else queryset


class ReadOnlyAdmin(AnyAdmin):
    """Read-only admin for rows that only services write."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: rows cannot be added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows cannot be edited by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows cannot be deleted by hand."""
        return False


class ReadOnlyInline(AnyInline):
    """Read-only inline for rows that only services write."""

    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows cannot be added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows cannot be edited by hand, and submitted form data is ignored."""
        return False


def badge(state: str) -> SafeString:
    """Return a state as a coloured badge."""
    return format_html('<strong style="color: {}">{}</strong>', _COLOURS.get(state, "inherit"), state)


def progress_bar(progress: JobProgress) -> SafeString:
    """Return a progress bar with its percentage and its number of media units."""
    return format_html(
        '<progress max="100" value="{0}" title="{1}"></progress> {0} %',
        progress.percent,
        gettext("{done} of {total} media units").format(done=progress.units_done, total=progress.units_total),
    )


def timeline(entries: Iterable[TimelineEntry]) -> SafeString:
    """Return the timeline as HTML, in the order of its entries."""
    return render_to_string("admin/batchreel/timeline.html", {"entries": entries})


def page_link(model: str, pk: object, text: object) -> SafeString:
    """Return a link to a row's page in the admin."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:batchreel_{model}_change", args=[pk]), text)
