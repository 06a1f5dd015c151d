"""State that the workers share between ticks: who runs a tick, and how many API calls are left."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Tick(models.Model):
    """Lease row of one beat task. It prevents concurrent runs, and records when the tick last ran and its error."""

    name = models.CharField(max_length=30, primary_key=True)
    fence = models.PositiveBigIntegerField(default=0, help_text="Number of ticks so far.")
    leased_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    continuous_since = models.DateTimeField(
        null=True, blank=True, help_text="Start of the current series of ticks without a gap."
    )
    error_code = models.CharField(max_length=50, blank=True, help_text="Code of the error that ended the last tick.")
    error_message = models.TextField(blank=True)
    failures = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Number of ticks so far that ended with an error, or were killed."
    )

    def __str__(self) -> str:
        return self.name


class TokenBucket(models.Model):
    """Rate limit shared by all workers, for an AWS API that has a limit per account."""

    name = models.CharField(max_length=30, primary_key=True)
    tokens = models.FloatField()
    refilled_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name}: {self.tokens:.1f}"
