"""The time axis of the chart: where a moment is, and which moments are marked.

Hours in which no container ran, such as those in a queue, would leave no width for the minutes of work. So each
long pause has a fixed width, and the axis shows that it is cut there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils.formats import date_format

from ...texts.times import local

_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000),
)
"""Distances of ticks in seconds that clocks and calendars have."""

_TICK_PX = 92
"""Least distance of two ticks: a label of eight digits is about 55 wide."""

_PAUSE_PX = 56
_PAUSE_SHARE = 0.2
"""A pause is cut if it is longer than this share of the time in which containers ran."""

_LEAST_PAUSE_S = 60

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment that the axis marks."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of the axis within which time is linear."""

    began_at: datetime
    ended_at: datetime
    x: float
    px: float
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A pause that is narrower than its time."""

    x: float
    px: float
    pause: timedelta


class Scale:
    """Maps moments from `began_at` to `ended_at` to places from `left` to `left + width`, in units of the drawing."""

    def __init__(self, *, began_at: datetime, ended_at: datetime, busy: Iterable[Span], left: float, width: float):
        """`busy` are the spans in which a container ran."""
        ended_at = max(ended_at, began_at + timedelta(seconds=1))
        pauses = _long_pauses(began_at, ended_at, _union(busy))
        # All pauses together never take more than half of the width.
        pause_px = min(_PAUSE_PX, width / 2 / len(pauses)) if pauses else 0.0
        cut_s = sum((end - start).total_seconds() for start, end in pauses)
        linear_s = max(1e-6, (ended_at - began_at).total_seconds() - cut_s)
        per_s = (width - pause_px * len(pauses)) / linear_s
        self._per_s = per_s
        self._parts: list[_Part] = []
        x = left
        edges = sorted({began_at, ended_at, *(edge for pause in pauses for edge in pause)})
        for start, end in pairwise(edges):
            is_cut = (start, end) in pauses
            px = pause_px if is_cut else (end - start).total_seconds() * per_s
            self._parts.append(_Part(began_at=start, ended_at=end, x=x, px=px, is_cut=is_cut))
            x += px
        self._starts = [part.began_at for part in self._parts]

    def x(self, moment: datetime) -> float:
        """Return the place of a moment; of one before or after the axis, that of its end."""
        part = self._parts[max(0, bisect_right(self._starts, moment) - 1)]
        whole = (part.ended_at - part.began_at) / timedelta(seconds=1)
        share = (moment - part.began_at) / timedelta(seconds=1) / whole
        return part.x + part.px * min(1.0, max(0.0, share))

    @property
    def cuts(self) -> list[Cut]:
        """The pauses that are cut, in order."""
        return [Cut(x=part.x, px=part.px, pause=part.ended_at - part.began_at) for part in self._parts if part.is_cut]

    @property
    def ticks(self) -> list[Tick]:
        """The marked moments: full seconds, minutes, hours or days of the reader's clock."""
        step_s = next((step for step in _STEPS_S if step * self._per_s >= _TICK_PX), _STEPS_S[-1])
        form = "H:i:s" if step_s < 60 else "H:i" if step_s < 86400 else "j M"  # noqa: PLR2004 - a minute, a day
        found: list[Tick] = []
        for part in self._parts:
            if part.is_cut:
                continue
            moment = _next_step(local(part.began_at), step_s)
            while moment <= part.ended_at:
                tick = Tick(x=self.x(moment), label=date_format(moment, form))
                if not found or tick.x - found[-1].x >= _TICK_PX / 2:
                    found.append(tick)
                moment += timedelta(seconds=step_s)
        return found


def _next_step(moment: datetime, step_s: int) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    steps = -(-(moment - midnight).total_seconds() // step_s)
    return midnight + timedelta(seconds=steps * step_s)


def _union(spans: Iterable[Span]) -> list[Span]:
    """Return the spans without overlaps, in order."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _long_pauses(began_at: datetime, ended_at: datetime, busy: list[Span]) -> list[Span]:
    busy_s = sum((end - start).total_seconds() for start, end in busy)
    if not busy_s:
        return []
    edges = [began_at, *(edge for span in busy for edge in span), ended_at]
    pauses = zip(edges[::2], edges[1::2], strict=True)
    limit_s = max(_LEAST_PAUSE_S, _PAUSE_SHARE * busy_s)
    return [(start, end) for start, end in pauses if (end - start).total_seconds() > limit_s]
