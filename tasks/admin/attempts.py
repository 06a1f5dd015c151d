"""Attempts and units in the admin: what the containers and AWS Batch reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.states import LIVE_ATTEMPT_STATES
from ..models import Attempt, Unit
from ..selectors.costs import dollars
from .widgets import EMPTY_VALUE, ReadOnlyAdmin, ReasonFilter, badge


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
    return f"{attempt.heartbeat_at:%Y-%m-%d %H:%M:%S}"


def cost_label(attempt: Attempt) -> str:
    """Return what an attempt cost, and what was lost of it to what; nothing before that is known."""
    if attempt.cost_usd is None:
        return EMPTY_VALUE
    if not attempt.wasted_usd:
        return dollars(attempt.cost_usd)
    text = gettext("{cost}, {lost} lost to {cause}")
    return text.format(cost=dollars(attempt.cost_usd), lost=dollars(attempt.wasted_usd), cause=attempt.wasted_by)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """One container run, which is one Batch job."""

    list_display = (
        "job_id",
        "number",
        "state_badge",
        "reason",
        "counted",
        "batch_status",
        "heartbeat",
        "cost",
        "ended_at",
    )
    list_filter = ("state", ReasonFilter)
    search_fields = ("job__id", "batch_job_id", "batch_job_name", "machine_id", "ec2_instance_id")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the heartbeat's age, and the job without its large columns."""
        return with_heartbeat_age(super().get_queryset(request).select_related("job").defer("job__plan"))

    @admin.display(description=_("heartbeat"), ordering="heartbeat_at")
    def heartbeat(self, attempt: Attempt) -> str:
        """Return the time or age of the last heartbeat."""
        return heartbeat_label(attempt)

    @admin.display(description=_("cost"))
    def cost(self, attempt: Attempt) -> str:
        """Return the cost and the part of it that was lost."""
        return cost_label(attempt)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, attempt: Attempt) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(attempt.state)


@admin.register(Unit)
class UnitAdmin(ReadOnlyAdmin):
    """One unit of a job's work."""

    list_display = ("job_id", "kind", "index", "state_badge", "fence", "attempt_id", "leased_at", "done_at")
    list_filter = ("kind", "state")
    search_fields = ("job__id",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the job, without its large columns."""
        return super().get_queryset(request).select_related("job", "attempt").defer("job__plan")

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, unit: Unit) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(unit.state)
