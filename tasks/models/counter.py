"""Numbers that only increase, for operators' metrics (tasks/metrics)."""

from __future__ import annotations

from django.db import models


class Counter(models.Model):
    """One counter. It is a row because many processes add to it, and because the rows that it counts may be deleted."""

    name = models.CharField(max_length=60)
    labels = models.JSONField(default=dict, blank=True, help_text="What is counted: names and short texts.")
    value = models.FloatField(default=0)
    reported = models.FloatField(default=0, help_text="Its value in the last METRICS line of the log.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="one_counter_per_series")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}: {self.value:g}"
