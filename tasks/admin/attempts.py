"""Attempts and units in the admin: what the containers and AWS Batch reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState, UnitState
from ..models import Attempt, Unit
from ..selectors.costs import dollars
from .widgets import EMPTY_VALUE, ReadOnlyAdmin, ReasonFilter, badge, counted_label, moment, page_link, short_title


def with_heartbeat_age(attempts: QuerySet[Any]) -> QuerySet[Any]:
    """Annotate `heartbeat_age`: a timedelta by the database's clock, None before the first heartbeat."""
    age = ExpressionWrapper(Now() - F("heartbeat_at"), output_field=DurationField())
    annotated: QuerySet[Any] = attempts.annotate(heartbeat_age=age)
    return annotated


def heartbeat_label(attempt: Attempt) -> str:
    """Return the age of a live attempt's last heartbeat, or the time of an ended attempt's last one.

    `attempt` is a row of with_heartbeat_age.
    """
    age: timedelta | None = attempt.heartbeat_age  # type: ignore[attr-defined]  # annotated by with_heartbeat_age
    if age is None or attempt.heartbeat_at is None:
        return gettext("none yet") if attempt.state in LIVE_ATTEMPT_STATES else gettext("none")
    if attempt.state in LIVE_ATTEMPT_STATES:
        return gettext("{seconds} s ago").format(seconds=round(age.total_seconds()))
    return moment(attempt.heartbeat_at)


def cost_label(attempt: Attempt) -> str:
    """Return what an attempt cost, and what was lost of it to what; nothing before that is known."""
    if attempt.cost_usd is None:
        return EMPTY_VALUE
    if not attempt.wasted_usd:
        return dollars(attempt.cost_usd)
    text = gettext("{cost}, {lost} lost to {cause}")
    return text.format(cost=dollars(attempt.cost_usd), lost=dollars(attempt.wasted_usd), cause=attempt.wasted_by)


def log_link(attempt: Attempt) -> SafeString:
    """Return a link to the end of the container's log."""
    url = reverse("admin:batchreel_job_log", args=[attempt.job_id, attempt.number])
    label = gettext("log of attempt {number}").format(number=attempt.number)
    return format_html('<a href="{}" aria-label="{}">{}</a>', url, label, gettext("log"))


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """One container run, which is one Batch job."""

    list_display = ("state_badge", "attempt", "job_link", "reason", "counts", "cost", "last_sign", "log")
    list_display_links = ("attempt",)
    list_filter = ("state", ReasonFilter)
    search_fields = ("job__id", "batch_job_id", "batch_job_name", "machine_id", "ec2_instance_id")
    search_help_text = _("Id of the job, id or name in AWS Batch, or id of the machine")
    ordering = ("-id",)
    exclude = ("counted",)
    readonly_fields = ("counts", "cost", "log")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the heartbeat's age, and the job without its large columns."""
        found = super().get_queryset(request).select_related("job__video").defer("job__plan")
        return with_heartbeat_age(found)

    @admin.display(description=_("number"), ordering="number")
    def attempt(self, attempt: Attempt) -> str:
        """Return the number, and whether it helps."""
        if attempt.is_helper:
            return gettext("{number}, helps {lead}").format(number=attempt.number, lead=attempt.helps)
        return str(attempt.number)

    @admin.display(description=_("job"))
    def job_link(self, attempt: Attempt) -> SafeString:
        """Return a link to the job, by the title of its video."""
        return page_link("job", attempt.job_id, short_title(str(attempt.job.video)))

    @admin.display(description=_("attempt limit"))
    def counts(self, attempt: Attempt) -> str:
        """Return whether it counts."""
        return counted_label(attempt.counted)

    @admin.display(description=_("log"))
    def log(self, attempt: Attempt) -> SafeString:
        """Return a link to the end of the container's log."""
        return log_link(attempt)

    @admin.display(description=_("end or heartbeat"), ordering="ended_at")
    def last_sign(self, attempt: Attempt) -> str:
        """Return when the attempt ended, or how long ago a live one's last heartbeat was."""
        return moment(attempt.ended_at) if attempt.ended_at else heartbeat_label(attempt)

    @admin.display(description=_("cost"))
    def cost(self, attempt: Attempt) -> str:
        """Return the cost and the part of it that was lost."""
        return cost_label(attempt)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, attempt: Attempt) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(attempt.state)


UNFINISHED = "UNFINISHED"
"""What is shown of a leased unit that no container holds any more: leases are never released."""


@admin.register(Unit)
class UnitAdmin(ReadOnlyAdmin):
    """One unit of a job's work."""

    list_display = ("state_badge", "kind", "index", "job_link", "fence", "held_by", "leased_at", "done_at")
    list_display_links = ("kind", "index")
    list_filter = ("kind", "state")
    search_fields = ("job__id",)
    ordering = ("-id",)
    exclude = ("state",)
    readonly_fields = ("state_badge",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the job, without its large columns."""
        return super().get_queryset(request).select_related("job__video", "attempt").defer("job__plan")

    @admin.display(description=_("job"))
    def job_link(self, unit: Unit) -> SafeString:
        """Return a link to the job, by the title of its video."""
        return page_link("job", unit.job_id, short_title(str(unit.job.video)))

    @admin.display(description=_("attempt"))
    def held_by(self, unit: Unit) -> str:
        """Return a link to the attempt that holds or finished it."""
        if unit.attempt is None:
            return EMPTY_VALUE
        return page_link("attempt", unit.attempt.pk, str(unit.attempt.number))

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, unit: Unit) -> SafeString:
        """Return the state as a coloured badge. One whose container has ended is UNFINISHED."""
        is_held = unit.attempt is not None and unit.attempt.state == AttemptState.RUNNING
        return badge(UNFINISHED if unit.state == UnitState.LEASED and not is_held else unit.state)
