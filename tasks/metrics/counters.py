"""The counters' rows: add to them, and read them."""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping

from django.db import DatabaseError, connection, transaction
from django.db.models import F

from ..batch.calls import give_back, take_counts
from ..models import Counter
from .definitions import AWS_CALLS, BUCKETS_S, OVER, Duration, Labels, Metric

logger = logging.getLogger(__name__)


class Amounts(defaultdict[tuple[Metric, Labels], float]):
    """How much to add to which series."""

    def __init__(self) -> None:
        super().__init__(float)

    def observe(self, duration: Duration, seconds: float) -> None:
        """Add one value to a histogram."""
        place = bisect_left(BUCKETS_S, seconds)
        self[duration.bucket, (str(BUCKETS_S[place]) if place < len(BUCKETS_S) else OVER,)] += 1
        self[duration.sum, ()] += seconds


def add(amounts: Mapping[tuple[Metric, Labels], float]) -> None:
    """Add the amounts to the counters' rows.

    All callers lock the rows in the same order, so they do not deadlock.
    """
    rows = sorted(
        (metric.name, json.dumps(dict(zip(metric.labels, labels, strict=True)), sort_keys=True), amount)
        for (metric, labels), amount in amounts.items()
        if amount
    )
    if not rows:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO batchreel_counter (name, labels, value, reported) VALUES (%s, %s, %s, 0)"
            " ON CONFLICT (name, labels) DO UPDATE SET value = batchreel_counter.value + EXCLUDED.value",
            rows,
        )


def record_calls() -> None:
    """Add the calls to AWS of this process since the last time; if the database is unavailable, the next call does."""
    counts = take_counts()
    if not counts:
        return
    try:
        add({(AWS_CALLS, labels): count for labels, count in counts.items()})
    except DatabaseError as error:
        give_back(counts)
        logger.warning("CALLS_NOT_RECORDED %s", error)


def counter_values(*metrics: Metric) -> dict[Metric, dict[Labels, float]]:
    """Return the value of each series of these counters."""
    values = {metric: dict.fromkeys(metric.zeros, 0.0) for metric in metrics}
    by_name = {metric.name: metric for metric in metrics}
    for row in Counter.objects.filter(name__in=by_name):
        metric = by_name[row.name]
        values[metric][_labels(metric, row.labels)] = row.value
    return values


@transaction.atomic
def take_increase(*metrics: Metric) -> dict[tuple[str, Labels], float]:
    """Return how much each series of these counters has increased since the last call.

    A row that another process is adding to is left for the next call.
    """
    by_name = {metric.name: metric for metric in metrics}
    rows = list(Counter.objects.select_for_update(skip_locked=True).filter(name__in=by_name))
    Counter.objects.filter(pk__in=[row.pk for row in rows]).update(reported=F("value"))
    return {(row.name, _labels(by_name[row.name], row.labels)): row.value - row.reported for row in rows}


def _labels(metric: Metric, labels: dict[str, str]) -> Labels:
    return tuple(labels.get(name, "") for name in metric.labels)
