"""The rows of a lane: which leases are next to each other in time, and which are too narrow to be drawn alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...lifecycle.states import UnitKind
from ...selectors.operations.work import Lease, Outcome
from .scale import Scale

NARROW_PX = 2.0
"""Width below which bars next to each other in a row are joined."""

_JOINED_PX = 24.0
"""Width up to which they are: a longer block would hide when they ran."""


@dataclass(slots=True, kw_only=True)
class Bar:
    """One lease, or several of one kind that are too narrow to be drawn alone."""

    kind: UnitKind
    outcome: Outcome
    x: float
    end_x: float
    leases: list[Lease]

    @property
    def width(self) -> float:
        """Its width as it is drawn: at least one pixel."""
        return max(1.0, self.end_x - self.x)


def rows_of(leases: Iterable[Lease]) -> list[list[Lease]]:
    """Divide a container's leases into rows in which none overlaps another: one row for each of its slots."""
    rows: list[list[Lease]] = []
    for lease in sorted(leases, key=lambda each: each.began_at):
        for row in rows:
            if row[-1].ended_at <= lease.began_at:
                row.append(lease)
                break
        else:
            rows.append([lease])
    return rows


def bars_of(row: Iterable[Lease], scale: Scale) -> list[Bar]:
    """Return the bars of a row. Those of one kind and outcome become one if they are narrower than NARROW_PX."""
    bars: list[Bar] = []
    for lease in row:
        bar = Bar(
            kind=lease.kind,
            outcome=lease.outcome,
            x=scale.x(lease.began_at),
            end_x=scale.x(lease.ended_at),
            leases=[lease],
        )
        before = bars[-1] if bars else None
        if before is not None and _join(before, bar):
            before.end_x = max(before.end_x, bar.end_x)
            before.leases.append(lease)
        else:
            bars.append(bar)
    return bars


def _join(before: Bar, bar: Bar) -> bool:
    is_narrow = bar.end_x - bar.x < NARROW_PX and (len(before.leases) > 1 or before.end_x - before.x < NARROW_PX)
    return (
        is_narrow
        and (before.kind, before.outcome) == (bar.kind, bar.outcome)
        and bar.x - before.end_x < NARROW_PX
        and bar.end_x - before.x <= _JOINED_PX
    )
