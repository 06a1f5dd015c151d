"""Building blocks of the admin: read-only pages, times with seconds, titles, progress bars, badges, timelines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import cached_property, lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from ..selectors.distinct import distinct_values
from ..selectors.history.timeline import TimelineEntry
from ..selectors.progress import JobProgress
from ..texts.times import local

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = admin.ModelAdmin
    AnyInline = admin.TabularInline

EMPTY_VALUE = "-"

MAX_TITLE = 60
"""Letters of a title in a list: a file name of 198 letters once made a list wider than any screen."""

_GREEN = "light-dark(#1a7f37, #3fb950)"
_BLUE = "light-dark(#0969da, #58a6ff)"
_RED = "light-dark(#cf222e, #ff7b72)"
_ORANGE = "light-dark(#bc4c00, #ffa657)"

_COLOURS = {
    **dict.fromkeys(("SUCCEEDED", "DONE", "READY"), _GREEN),
    **dict.fromkeys(("RUNNING", "LEASED", "PROCESSING", "UPDATING"), _BLUE),
    **dict.fromkeys(("FAILED", "DEAD"), _RED),
    **dict.fromkeys(("LOST", "RETRY_WAIT", "UNFINISHED"), _ORANGE),
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


def precise(model: type[Model], name: str) -> Any:
    """Return a display of a time of the model with seconds, which Django's formats leave out.

    It is sorted and named as the column. The stubs of lists of columns have no callables, hence Any.
    """
    return _precise(model, name)


@cache
def _precise(model: type[Model], name: str) -> Callable[[Any], str]:
    column: Any = model._meta.get_field(name)  # noqa: SLF001 - Django's documented API
    # The names of columns are translated later than the admin's modules are imported.
    title: Any = lazy(lambda: str(column.verbose_name), str)

    @admin.display(description=title(), ordering=name)
    def display(row: Any) -> str:
        return moment(getattr(row, name))

    display.__name__ = name
    return display


class PreciseTimes(AnyAdmin):
    """Admin that shows every time with seconds, in lists and on pages. Its lists fit on a screen of 1280 px."""

    class Media:
        css: ClassVar[Any] = {"all": ["batchreel/admin.css"]}

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns, with displays for times."""
        return self._with_seconds(super().get_list_display(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields, with displays for times."""
        return self._with_seconds(super().get_readonly_fields(request, obj))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields, with displays for times."""
        return self._with_seconds(super().get_fields(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields in their sets, with displays for times."""
        return [
            (title, {**options, "fields": self._with_seconds(options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _with_seconds(self, names: Iterable[Any]) -> list[Any]:
        times = {field.name for field in self.model._meta.fields if isinstance(field, DateTimeField)}  # noqa: SLF001 - as above
        return [precise(self.model, name) if name in times else name for name in names]


class ReadOnlyAdmin(PreciseTimes):
    """Read-only admin for rows that only services write."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields; without a list, all columns. Django would ask its form, which has no displays."""
        if self.fields or self.fieldsets:
            return super().get_fields(request, obj)
        left_out = {*(self.exclude or ()), *self.readonly_fields}
        columns = [
            field.name
            for field in self.model._meta.fields  # noqa: SLF001 - as above
            if field.editable and not field.auto_created and field.name not in left_out
        ]
        return self._with_seconds([*columns, *self.readonly_fields])

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


def moment(at: datetime | None) -> str:
    """Return a time with seconds; the title has the date with its year and the time zone."""
    if at is None:
        return EMPTY_VALUE
    shown_at = local(at)
    # Translators: format of a date with a time in the admin; see Django's documentation of the filter "date".
    shown = date_format(shown_at, pgettext("date format", "j M H:i:s"))
    return format_html(
        '<time datetime="{}" title="{}" class="batchreel-time">{}</time>',
        shown_at.isoformat(),
        f"{shown_at:%Y-%m-%d %H:%M:%S %Z}",
        shown,
    )


def short_title(title: str) -> str:
    """Return a title that is cut to MAX_TITLE letters; the element's title has all of it."""
    shown = Truncator(title).chars(MAX_TITLE)
    return title if shown == title else format_html('<span title="{}">{}</span>', title, shown)


def counted_label(counted: bool | None) -> str:  # noqa: FBT001 - a column of three values
    """Return in words whether an attempt counts against the attempt limit of its job."""
    if counted is None:
        return gettext("not decided yet")
    return gettext("counts") if counted else gettext("does not count")


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
