"""Gaps between ticks: while a tick did not run, missing heartbeats may be due to an outage of the site itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from ...models import Tick

GAP_AFTER_PERIODS = 2
"""Number of periods without a tick after which the run of ticks is broken."""


def continuous_since(name: str, *, period_s: float) -> datetime | None:
    """Return since when this tick has run without a gap.

    None if it has not run lately: missing heartbeats then prove nothing.
    """
    recent = Q(started_at__gte=_gap_before(period_s))
    return Tick.objects.filter(recent, name=name).values_list("continuous_since", flat=True).first()


def had_gap(name: str, *, period_s: float, within_s: float) -> bool:
    """Return whether this tick has a gap now, or had one in the last `within_s` seconds.

    Missing heartbeats in that time may be due to an outage of the site itself.
    """
    broken = Q(started_at__lt=_gap_before(period_s)) | Q(continuous_since__gt=Now() - timedelta(seconds=within_s))
    return Tick.objects.filter(broken, name=name).exists()


def _gap_before(period_s: float) -> Any:
    return Now() - timedelta(seconds=GAP_AFTER_PERIODS * period_s)
