"""The ticks for the operators' page: when each last started and succeeded, and whether it is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ...conf import bridge_settings
from ...models import Tick as TickRow
from ...schedule.ticks import STALE_PERIODS, TICKS


@dataclass(frozen=True, slots=True, kw_only=True)
class TickStatus:
    """One tick."""

    name: str
    purpose: str
    period_s: float
    started_at: datetime | None
    succeeded_at: datetime | None
    age: timedelta | None
    """Since it last started."""
    error: str

    @property
    def is_late(self) -> bool:
        """Whether it has not started for STALE_PERIODS of its periods, as `manage.py doctor` counts."""
        return self.age is None or self.age.total_seconds() > STALE_PERIODS * self.period_s


def tick_statuses(now: datetime) -> list[TickStatus]:
    """Return all ticks, in one query. `now` is the database's time."""
    rows = {row.name: row for row in TickRow.objects.all()}
    conf = bridge_settings()
    found = []
    for tick in TICKS:
        row = rows.get(tick.name) or TickRow(name=tick.name)
        found.append(
            TickStatus(
                name=tick.name,
                purpose=tick.purpose,
                period_s=tick.period_s(conf),
                started_at=row.started_at,
                succeeded_at=row.succeeded_at,
                age=now - row.started_at if row.started_at else None,
                error=f"{row.error_code}: {row.error_message}" if row.error_code else "",
            )
        )
    return found
