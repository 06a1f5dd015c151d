"""The metrics for prometheus-client.

A site with a registry of its own may register `RowsCollector` there; `tasks.views.metrics` needs none.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection, transaction
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from .broker import read_broker
from .counters import counter_values
from .definitions import COUNTERS, DURATIONS, FROM_ROWS, OVER, PREFIX, Duration, Labels
from .readings import read_gauges

_STATEMENT_TIMEOUT_S = 5
"""A scrape of a database that hangs ends before Prometheus gives it up (10 s), and holds no web thread for longer."""


class RowsCollector:
    """Reads the metrics whenever they are asked for. Raises DatabaseError."""

    def describe(self) -> list[Family]:
        """Return nothing: otherwise a registry would call `collect`, and so query, when the collector is registered."""
        return []

    def collect(self) -> Iterator[Family]:
        """Yield each metric with its series."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT_S}s'")
            readings = read_gauges()
            parts = [part for duration in DURATIONS for part in (duration.bucket, duration.sum)]
            counters = counter_values(*COUNTERS, *parts)
        histograms = [_histogram(each, counters.pop(each.bucket), counters.pop(each.sum)) for each in DURATIONS]
        for metric in FROM_ROWS:
            counters[metric] = readings.pop(metric)
        for metric, series in {**readings, **read_broker()}.items():
            yield _filled(GaugeMetricFamily(PREFIX + metric.name, metric.about, labels=metric.labels), series)
        for metric, series in counters.items():
            yield _filled(CounterMetricFamily(PREFIX + metric.name, metric.about, labels=metric.labels), series)
        yield from histograms


def _filled(family: GaugeMetricFamily | CounterMetricFamily, series: dict[Labels, float]) -> Family:
    for labels, value in sorted(series.items()):
        family.add_metric(labels, value)
    return family


def _histogram(duration: Duration, inside: dict[Labels, float], sums: dict[Labels, float]) -> Family:
    total = 0.0
    buckets = []
    for limit in sorted(inside, key=lambda labels: float(labels[0])):
        total += inside[limit]
        buckets.append((limit[0] if limit[0] == OVER else f"{float(limit[0]):.1f}", total))
    family = HistogramMetricFamily(PREFIX + duration.name, duration.about)
    family.add_metric([], buckets=buckets, sum_value=sums[()])
    return family
