"""What attempts, jobs and videos cost, and the months.

A cost includes containers that have ended. The time in which a machine starts or waits for work is not in
it, nor are disks, IP addresses, the bucket and viewers (docs/costs.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..models import Attempt, DayCost, Video
from ..models.cost import PriceSource, WastedBy

NOT_INCLUDED = _("Without the time in which machines start or wait for work, disks, storage and viewers.")

SOURCE_LABELS = {
    PriceSource.SPOT_HISTORY: _("AWS's history of Spot prices"),
    PriceSource.LIST: _("AWS's price list"),
    PriceSource.SETTING: _("the site's settings"),
}
_WASTED_LABELS = {
    WastedBy.SPOT: _("to Spot"),
    WastedBy.RETRIES: _("to retries"),
    WastedBy.CANCELS: _("to cancelled jobs"),
}

Grouping = Literal["job", "job__video"]


@dataclass(slots=True, kw_only=True)
class Cost:
    """A cost in US dollars, and what it consists of."""

    label: str = ""
    attempts: int = 0
    vcpu_h: float = 0.0
    usd: Decimal = Decimal(0)
    wasted: dict[str, Decimal] = field(default_factory=dict)
    """`models.cost.WastedBy` -> the part that was lost to it."""
    by_source: dict[str, Decimal] = field(default_factory=dict)
    """`models.cost.PriceSource` -> the part that was worked out with such prices."""
    missing: int = 0
    """Attempts whose cost is not known yet, most of them because they are live."""

    @property
    def wasted_usd(self) -> Decimal:
        """The part that brought no finished unit."""
        return sum(self.wasted.values(), Decimal(0))

    def add(self, other: Cost) -> None:
        """Add another cost to this one."""
        self.attempts += other.attempts
        self.vcpu_h += other.vcpu_h
        self.usd += other.usd
        self.missing += other.missing
        for mine, theirs in ((self.wasted, other.wasted), (self.by_source, other.by_source)):
            for name, amount in theirs.items():
                mine[name] = mine.get(name, Decimal(0)) + amount


def costs_of(group: Grouping, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Cost]:
    """Return the cost of each of these jobs or videos that has an attempt, in one query."""
    return _sums(Attempt.objects.filter(**{f"{group}__in": list(ids)}), group)


def _sums(attempts: Any, group: Grouping) -> dict[uuid.UUID, Cost]:
    rows = (
        attempts.order_by()
        .values_list(group, "price_source", "wasted_by")
        .annotate(
            number=Count("pk"),
            usd=Sum("cost_usd", default=Decimal(0)),
            wasted_usd=Sum("wasted_usd", default=Decimal(0)),
            missing=Count("pk", filter=Q(cost_usd=None)),
        )
    )
    found: dict[uuid.UUID, Cost] = {}
    for owner_id, source, cause, number, usd, wasted_usd, missing in rows:
        cost = Cost(attempts=number, usd=usd, missing=missing)
        if cause:
            cost.wasted[cause] = wasted_usd
        if source:
            cost.by_source[source] = usd
        found.setdefault(owner_id, Cost()).add(cost)
    return found


def month_by_day(year: int, month: int) -> list[Cost]:
    """Return the cost of each day of a month in UTC that has one, also of videos that were deleted since."""
    first, after = _month(year, month)
    days: dict[date, Cost] = {}
    for row in DayCost.objects.filter(day__gte=first.date(), day__lt=after.date()).order_by("day"):
        cost = Cost(attempts=row.attempts, vcpu_h=row.vcpu_h, usd=row.cost_usd, by_source={row.source: row.cost_usd})
        lost = {WastedBy.SPOT: row.spot_usd, WastedBy.RETRIES: row.retries_usd, WastedBy.CANCELS: row.cancels_usd}
        cost.wasted = {cause.value: usd for cause, usd in lost.items() if usd}
        days.setdefault(row.day, Cost(label=row.day.isoformat())).add(cost)
    return list(days.values())


def month_by_video(year: int, month: int) -> list[Cost]:
    """Return the cost of each video in a month, the dearest first. The last row is for videos deleted since."""
    first, after = _month(year, month)
    by_day = month_by_day(year, month)  # read first: a cost that is worked out meanwhile is not that of a deleted video
    by_video = _sums(attempts_between(first, after), "job__video")
    titles = dict(Video.objects.filter(pk__in=by_video).values_list("pk", "title"))
    for video_id, cost in by_video.items():
        cost.label = f"{video_id} {titles.get(video_id, '')}".rstrip()
    rows = sorted(by_video.values(), key=lambda cost: (-cost.usd, cost.label))
    if deleted := _difference(by_day, rows):
        rows.append(deleted)
    return rows


def attempts_between(first: datetime, after: datetime) -> QuerySet[Attempt]:
    """Return the attempts with a cost whose container started at `first` or later, but before `after`."""
    began_at = Coalesce("started_at", "claimed_at")
    return Attempt.objects.annotate(began_at=began_at).filter(
        began_at__gte=first, began_at__lt=after, cost_usd__isnull=False
    )


def _difference(days: list[Cost], videos: list[Cost]) -> Cost | None:
    """Return what days contain and videos do not: the cost of videos whose rows are gone."""
    all_days, all_videos = total(days), total(videos)
    usd = all_days.usd - all_videos.usd
    if usd <= 0:
        return None
    return Cost(
        label="videos deleted since",
        attempts=max(0, all_days.attempts - all_videos.attempts),
        usd=usd,
        wasted=_minus(all_days.wasted, all_videos.wasted),
        by_source=_minus(all_days.by_source, all_videos.by_source),
    )


def _minus(all_of_it: dict[str, Decimal], part: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: usd - part.get(name, Decimal(0)) for name, usd in all_of_it.items() if usd > part.get(name, 0)}


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of these costs."""
    found = Cost(label="total")
    for cost in costs:
        found.add(cost)
    return found


def dollars(usd: Decimal) -> str:
    """Return an amount for people: to the hundredth of a cent, since most attempts cost less than a cent."""
    return f"${usd:.4f}"


def share(part: Decimal, whole: Decimal) -> str:
    """Return a share in percent for people."""
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def describe(cost: Cost | None) -> str:
    """Return a cost as a message for operators."""
    return " ".join(_parts(cost or Cost()))


def _parts(cost: Cost) -> Iterator[str]:
    if cost.attempts == cost.missing:
        if cost.attempts:
            yield gettext("Not known yet: no container has ended.")
        else:
            yield gettext("Nothing: no container has started.")
        return
    lost = [
        (f"{dollars(usd)} ({share(usd, cost.usd)})", label)
        for cause, label in _WASTED_LABELS.items()
        if (usd := cost.wasted.get(cause))
    ]
    if lost:
        (amount, label), *others = lost
        also = "".join(gettext(" and {amount} {cause}").format(amount=each, cause=why) for each, why in others)
        text = gettext("{cost}, of which {amount} was lost {cause}{also}.")
        yield text.format(cost=dollars(cost.usd), amount=amount, cause=label, also=also)
    else:
        yield f"{dollars(cost.usd)}."
    if cost.by_source:
        labels = [str(label) for source, label in SOURCE_LABELS.items() if source in cost.by_source]
        yield gettext("By {sources}.").format(sources=gettext(" and ").join(labels))
    if cost.missing:
        text = ngettext(
            "{number} container is not included yet.", "{number} containers are not included yet.", cost.missing
        )
        yield text.format(number=cost.missing)
    yield str(NOT_INCLUDED)


def _month(year: int, month: int) -> tuple[datetime, datetime]:
    after = (year + 1, 1) if month == 12 else (year, month + 1)  # noqa: PLR2004 - December
    return datetime(year, month, 1, tzinfo=UTC), datetime(*after, 1, tzinfo=UTC)
