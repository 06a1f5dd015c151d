"""The cost of an attempt, worked out once when it has ended and AWS has reported its times.

Nothing changes it afterwards: neither another price nor another setting. The same transaction adds it to
the sum of its day, which stays when the video is deleted.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, Subquery
from django.db.models.functions import Now

from ...batch.port import MachinePort
from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES
from ...models import Attempt, Machine, MachinePrice
from ...models.cost import WastedBy
from ..state.rounds import final_status_wait
from .amounts import cost_usd, wasted_by, wasted_share
from .machines import learn_machines
from .prices import Price, Prices, Used

_KEPT = timedelta(days=90)
"""How long rows of machines and prices stay: as far back as AWS has Spot prices."""

_COLUMNS = ("price_vcpu_h_usd", "price_source", "cost_usd", "wasted_usd", "wasted_by")

_ADD = """
    INSERT INTO batchreel_daycost AS sum
           (day, purchase, source, attempts, vcpu_h, cost_usd, spot_usd, retries_usd, cancels_usd)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (day, purchase, source) DO UPDATE
       SET attempts = sum.attempts + EXCLUDED.attempts,
           vcpu_h = sum.vcpu_h + EXCLUDED.vcpu_h,
           cost_usd = sum.cost_usd + EXCLUDED.cost_usd,
           spot_usd = sum.spot_usd + EXCLUDED.spot_usd,
           retries_usd = sum.retries_usd + EXCLUDED.retries_usd,
           cancels_usd = sum.cancels_usd + EXCLUDED.cancels_usd
"""


@dataclass(slots=True, kw_only=True)
class _Sum:
    """What is added to the sum of a day."""

    attempts: int = 0
    vcpu_h: float = 0.0
    cost_usd: Decimal = Decimal(0)
    wasted_usd: dict[str, Decimal]


def work_out_costs(*, machines: MachinePort) -> int:
    """Work out what attempts that have ended cost, up to `cost_limit`. Return their number. Raises no BatchError."""
    stop_at_s = time.monotonic() + bridge_settings().cost_time_limit_s
    answered = learn_machines(machines=machines, stop_at_s=stop_at_s)
    prices = Prices(machines, stop_at_s=stop_at_s)
    # AWS is asked here, outside of the transaction that stores the costs.
    found = [(attempt, _price(attempt, prices)) for attempt in _without_cost(answered=answered)]
    worked_out = _store([(attempt, price) for attempt, price in found if price or not _started_at(attempt)])
    _forget()
    return worked_out


def _without_cost(*, answered: bool) -> Iterable[Any]:
    """Return attempts whose times are final, and whose machine is known or will not become known.

    If AWS `answered`, machines that are not known yet were too many for this run, and the next one asks.
    """
    conf = bridge_settings()
    waited = Q(ended_at__lte=Now() - timedelta(seconds=conf.cost_wait_s))
    is_final = Q(batch_status__in=FINAL_STATUSES, batch_job_id__isnull=False) | Q(batch_job_id=None)
    is_final |= Q(ended_at__lte=Now() - final_status_wait())
    machine = Machine.objects.filter(arn=OuterRef("machine_arn"))
    has_machine = Q(machine_arn="") | Exists(machine)
    return (
        Attempt.objects.filter(is_final, cost_usd=None, ended_at__isnull=False)
        .filter(has_machine if answered else has_machine | waited)
        .annotate(
            has_waited=ExpressionWrapper(waited, output_field=BooleanField()),
            machine_vcpus=Subquery(machine.values("vcpus")[:1]),
        )
        .order_by("pk")[: conf.cost_limit]
    )


def awaits_cost() -> Q:
    """Match attempts that have ended and whose cost will be worked out. A day's sum has it only from then on."""
    longest = timedelta(seconds=bridge_settings().cost_wait_s) + final_status_wait()
    started = Q(started_at__isnull=False) | Q(claimed_at__isnull=False)
    return started & Q(cost_usd=None, ended_at__gt=Now() - longest)


def _started_at(attempt: Attempt) -> datetime | None:
    """Return when the container started, by AWS; by its claim if AWS never reported it."""
    return attempt.started_at or attempt.claimed_at


def _price(attempt: Any, prices: Prices) -> Price | None:
    """Return the price of the attempt's vCPUs; None if it never started, or if the price is not known yet."""
    at = _started_at(attempt)
    if at is None:
        return None
    used = Used(
        purchase=attempt.purchase,
        instance_type=attempt.instance_type,
        zone=attempt.availability_zone,
        vcpus=attempt.machine_vcpus,
        at=at,
    )
    return prices.of(used, is_last_time=attempt.has_waited)


@transaction.atomic
def _store(found: list[tuple[Any, Price | None]]) -> int:
    """Store each cost once, and add it to its day. A locked attempt is left for the next run."""
    waiting = Attempt.objects.filter(pk__in=[attempt.pk for attempt, _ in found], cost_usd=None)
    # Only what is read now is current: the attempt's end may have been corrected since.
    current = {row.pk: row for row in waiting.select_for_update(skip_locked=True, of=("self",)).order_by("pk")}
    sums: dict[tuple[date, str, str], _Sum] = defaultdict(lambda: _Sum(wasted_usd=defaultdict(Decimal)))
    for attempt, price in found:
        row = current.get(attempt.pk)
        if row is None:
            continue
        if price is None and _started_at(row):
            # Its start became known after its price was asked for: the next run asks again.
            del current[row.pk]
            continue
        _work_out(row, price)
        if price:
            _add(sums, row)
    Attempt.objects.bulk_update(current.values(), _COLUMNS, batch_size=200)
    _store_sums(sums)
    return len(current)


def _work_out(row: Attempt, price: Price | None) -> None:
    started_at = _started_at(row)
    if price is None or started_at is None:
        row.cost_usd = row.wasted_usd = Decimal(0)
        return
    span = _span(row, started_at)
    row.price_vcpu_h_usd, row.price_source = price.vcpu_h_usd, price.source.value
    row.cost_usd = cost_usd(span, vcpus=row.vcpus, vcpu_h_usd=price.vcpu_h_usd)
    row.wasted_usd, row.wasted_by = Decimal(0), ""
    cause = wasted_by(state=row.state, reason=row.reason, status_reason=row.batch_status_reason, purchase=row.purchase)
    if cause:
        share = wasted_share(finished_s=row.finished_work_s, lost_s=row.lost_work_s)
        row.wasted_usd = (row.cost_usd * share).quantize(row.cost_usd)
        row.wasted_by = cause.value if row.wasted_usd else ""


def _span(row: Attempt, started_at: datetime) -> timedelta:
    stopped_at = row.stopped_at or row.ended_at
    return max(timedelta(), stopped_at - started_at) if stopped_at else timedelta()


def _add(sums: dict[tuple[date, str, str], _Sum], row: Attempt) -> None:
    started_at = _started_at(row)
    if started_at is None or row.cost_usd is None or row.wasted_usd is None:
        return
    total = sums[started_at.astimezone(UTC).date(), row.purchase, row.price_source]
    total.attempts += 1
    total.vcpu_h += row.vcpus * _span(row, started_at).total_seconds() / 3600
    total.cost_usd += row.cost_usd
    total.wasted_usd[row.wasted_by] += row.wasted_usd


def _store_sums(sums: dict[tuple[date, str, str], _Sum]) -> None:
    # In one order, so that two runs cannot wait for each other.
    rows: list[tuple[Any, ...]] = [
        (*place, total.attempts, total.vcpu_h, total.cost_usd, *(total.wasted_usd[cause] for cause in WastedBy))
        for place, total in sorted(sums.items())
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, rows)


def _forget() -> None:
    """Remove rows of machines and prices that no new cost can need."""
    Machine.objects.filter(asked_at__lt=Now() - _KEPT).delete()
    MachinePrice.objects.filter(day__lt=Now() - _KEPT).delete()
